"""The artifact of an entity book: what it holds comes back, and nothing else is believed."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from service.editing.changes import whole
from service.editing.entity.book import EntityBook
from service.editing.entity.change import EntityChange
from service.editing.entity.insertion import insert
from service.editing.model_shape import ModelShape, Widths
from service.errors import ArtifactFaultError
from tests.editing.entity.made import NOISE, WIDTH, book, plane, target

SHAPE = ModelShape(({"down": Widths(8, WIDTH)},) * 3, "down", 100, torch.float32)


@dataclass(frozen=True)
class Parts:
    header: dict[str, Any]
    tensors: dict[str, Tensor]


Meddle = Callable[[Parts], object]


def change(*subjects: str) -> EntityChange:
    targets = tuple(target(n, one, 10 * n, 40) for n, one in enumerate(subjects, 1))
    state = book(*targets)
    return EntityChange(plane(), targets, state.difference(EntityBook.empty()))


def parts() -> Parts:
    one = change("france", "spain")
    return Parts(json.loads(json.dumps(one.header())), one.tensors())


def test_what_is_written_is_read() -> None:
    written = parts()
    read = EntityChange.read(written.header, written.tensors, SHAPE)
    expected = book(*change("france", "spain").targets)
    state = read.over(None)
    assert state is not None
    assert state.checksum == expected.checksum
    assert insert(EntityBook.empty(), read.targets, NOISE).checksum == expected.checksum


def test_a_snapshot_holds_the_whole_state() -> None:
    state = book(target(1, "france", 0), target(2, "france", 0), target(3, "spain", 9))
    again = whole(state).over(None)
    assert isinstance(again, EntityBook)
    assert again.checksum == state.checksum


@pytest.mark.parametrize(
    ("part", "meddle"),
    [
        ("the header", lambda p: p.header.pop("subjects")),
        ("space", lambda p: p.header["space"].pop("layer")),
        ("space.layer", lambda p: p.header["space"].update(layer=3)),
        ("space.sentence_layer", lambda p: p.header["space"].update(sentence_layer=2, layer=1)),
        ("space.asked_radius", lambda p: p.header["space"].update(asked_radius=float("inf"))),
        ("space.asked", lambda p: p.tensors.update({"space.asked": torch.zeros(3, 2)})),
        ("space.decoded", lambda p: p.tensors.update({"space.decoded": torch.zeros(3, 2)})),
        ("subjects", lambda p: p.header.update(subjects=["france"])),
        ("subjects", lambda p: p.header["subjects"].__setitem__(0, " ")),
        ("target_subjects", lambda p: p.header["target_subjects"].__setitem__(0, 7)),
        ("rows.index", lambda p: p.tensors["rows.index"].fill_(0)),
        ("rows.keys", lambda p: p.tensors["rows.keys"].fill_(float("nan"))),
        ("rows.given", lambda p: p.tensors["rows.given"].fill_(-1)),
        ("rows.given", lambda p: p.tensors["rows.given"].fill_(-2)),
        ("rows.values", lambda p: p.tensors.update({"rows.values": torch.zeros(1, WIDTH)})),
        ("rows.labels", lambda p: p.tensors["rows.labels"].fill_(100)),
        ("targets.answer_of", lambda p: p.tensors["targets.answer_of"].fill_(1)),
        ("targets.junctions", lambda p: p.tensors["targets.junctions"].fill_(3)),
        ("targets.edits", lambda p: p.tensors["targets.edits"].fill_(1)),
    ],
)
def test_what_can_not_be_is_refused(part: str, meddle: Meddle) -> None:
    found = parts()
    meddle(found)
    with pytest.raises(ArtifactFaultError) as caught:
        EntityChange.read(found.header, found.tensors, SHAPE)
    assert caught.value.part == part


def test_a_change_over_another_parent_is_refused() -> None:
    one = change("france")
    header, tensors = one.header(), one.tensors()
    tensors["rows.given"] = tensors["rows.given"] + 5
    with pytest.raises(ArtifactFaultError, match="answers"):
        EntityChange.read(header, tensors, SHAPE).over(None)
    header, tensors = one.header(), one.tensors()
    tensors["rows.index"] = tensors["rows.index"] + 1
    with pytest.raises(ArtifactFaultError, match="gap"):
        EntityChange.read(header, tensors, SHAPE).over(None)
    other = book(target(1, "france", 0))
    moved = EntityChange(plane(0.4), one.targets, one.rows)
    with pytest.raises(ArtifactFaultError, match="another one"):
        moved.over(other)
