"""Codebooks whose keys lie in the plane."""

from dataclasses import replace

import torch

from service.editing.codebook import Codebook, Label, Replacement, Site, Target

SITE = Site(3, "mlp", Replacement.LAST)


def target(edit_id: int, key: tuple[float, float], label: Label = (7,)) -> Target:
    value = torch.tensor([[float(edit_id), 0.0, 0.0]])
    return Target(edit_id, torch.tensor([key], dtype=torch.float32), value, (label,), (0,))


def phrased(
    edit_id: int,
    *keys: tuple[float, float],
    label: Label = (7,),
    spelled: tuple[tuple[float, float], ...] = (),
) -> Target:
    """An edit of one value with several given phrasings, and spellings of them."""
    value = torch.tensor([[float(edit_id), 0.0, 0.0]])
    places = torch.tensor([*keys, *spelled], dtype=torch.float32)
    of_which = (*(False for _ in keys), *(True for _ in spelled))
    return Target(edit_id, places, value, (label,), (0,) * len(places), of_which)


def reaching(edit_id: int, *keys: tuple[float, float], radii: tuple[float, ...]) -> Target:
    """An edit whose keys have radii of their own."""
    return replace(phrased(edit_id, *keys), radii=radii)


def answers(codebook: Codebook, *queries: tuple[float, float]) -> list[int | None]:
    """The edit that answers each query."""
    match = codebook.look_up(torch.tensor(queries))
    owners = [codebook.owners[entry] for entry in match.entry.tolist()]
    return [o if fires else None for o, fires in zip(owners, match.fires.tolist(), strict=True)]
