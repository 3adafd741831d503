"""Targets and books of `entity` in a plane, whose distances can be told by hand."""

import math
from collections.abc import Sequence

import torch

from service.editing.entity.asking import Junction
from service.editing.entity.book import EntityBook, Match
from service.editing.entity.insertion import Target, insert
from service.editing.entity.relation_space import Projection, RelationSpace

WIDTH = 4  # of hidden states
NOISE = 1e-3


def plane(radius: float = 0.5) -> RelationSpace:
    asked = Projection(torch.eye(2 * WIDTH, 2), torch.zeros(2))
    return RelationSpace(2, 1, asked, Projection(torch.eye(WIDTH, 2), torch.zeros(2)), radius, 0.1)


def direction(degrees: float) -> torch.Tensor:
    """[2]"""
    angle = math.radians(degrees)
    return torch.tensor([math.cos(angle), math.sin(angle)])


def apart(degrees: float) -> float:
    return 1 - math.cos(math.radians(degrees))


def target(
    edit_id: int,
    subject: str,
    *degrees: float,
    labels: Sequence[tuple[int, ...]] = ((7, 8),),
    junctions: Sequence[Junction] = (Junction.BARE,),
    radius: float = 0.5,
) -> Target:
    """Questions at some angles, all followed by the first answer."""
    keys = torch.stack([torch.cat([direction(d), direction(d)]) for d in degrees])
    values = torch.arange(sum(map(len, labels)) * WIDTH).float().view(-1, WIDTH) + edit_id
    return Target(
        edit_id=edit_id,
        space=plane(),
        subjects=(subject,) * len(degrees),
        keys=keys,
        radii=(radius,) * len(degrees),
        answer_of=(0,) * len(degrees),
        junctions=tuple(junctions),
        labels=tuple(labels),
        values=values,
    )


def book(*targets: Target) -> EntityBook:
    return insert(EntityBook.empty(), targets, NOISE)


def found(
    state: EntityBook,
    degrees: float,
    *subjects: str,
    junction: Junction = Junction.BARE,
    decoded: bool = False,
) -> Match | None:
    return state.look_up(subjects, direction(degrees), junction, decoded=decoded)


def owner(state: EntityBook, degrees: float, *subjects: str, **how: object) -> int | None:
    """The edit that answers; None if none does."""
    match = found(state, degrees, *subjects, **how)  # type: ignore[arg-type]
    return None if match is None or not match.fires else state.answers[match.answer].owner
