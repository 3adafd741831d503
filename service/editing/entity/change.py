"""What one version does to an entity book, as an artifact: what it writes and, for a batch, the
targets that it came from, so that the batch can be replayed on another history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from service.editing.codebook_change import integers, pack, unpack
from service.editing.entity.asking import Junction
from service.editing.entity.book import NONE, Answer, EntityBook, Entry, Label, Rows
from service.editing.entity.checks import SPACE, check_entity
from service.editing.entity.insertion import Target
from service.editing.entity.relation_space import RelationSpace
from service.editing.growth import entries_over, latest
from service.editing.model_shape import ModelShape
from service.editing.outlines import EntityOutline, Outline, outline_of
from service.editing.overlays import Overlay
from service.errors import ArtifactFaultError

FORMAT = "errata-entity-1"


@dataclass(frozen=True)
class EntityChange:
    space: RelationSpace
    targets: tuple[Target, ...]  # empty for versions that no batch made
    rows: Rows

    def over(self, parent: EntityBook | None) -> EntityBook | None:
        """The state of a version whose parent's is `parent`. Raises `ArtifactFaultError`."""
        self.outline(outline_of(parent))
        if not self.rows.index:
            return parent
        return (parent or EntityBook.empty()).with_rows(self.space, self.rows)

    def outline(self, parent: Outline) -> Outline:
        """That of the state over one with the outline `parent`. Raises `ArtifactFaultError` for a
        change that was not made over such a one.
        """
        index, rows = self.rows.index, self.rows
        if not index:
            return parent
        if parent is not None and not isinstance(parent, EntityOutline):
            raise ArtifactFaultError("rows.index", "is of entity entries, and its parent has none")
        entries, answers = (0, 0) if parent is None else (parent.entries, parent.answers)
        if parent is not None and parent.space != self.space.digest:
            raise ArtifactFaultError("space", "is another one than its parent's")
        entries = entries_over(entries, index)
        answers += len(rows.answers)
        if any(given >= answers for entry in rows.entries for given in entry.given):
            raise ArtifactFaultError("rows.given", f"names more than the {answers} answers")
        return EntityOutline(self.space.digest, entries, answers)

    def overruled(self, parent: Overlay | None) -> dict[int, int]:
        """Returns, by edit, the latest other one of the state before in whose place it answers
        somewhere with another target: a correction of a correction.
        """
        if not isinstance(parent, EntityBook):
            return {}
        answers = (*parent.answers, *self.rows.answers)
        pairs = (
            (answers[new], answers[was])
            for at, entry in zip(self.rows.index, self.rows.entries, strict=True)
            if at < len(parent)
            for was, new in zip(parent.entries[at].given, entry.given, strict=True)
            if NONE not in (was, new)
        )
        return latest((new.owner, was.owner) for new, was in pairs if new.label != was.label)

    def header(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "space": self.space.numbers(),
            "subjects": [entry.subject for entry in self.rows.entries],
            "target_subjects": [subject for t in self.targets for subject in t.subjects],
        }

    def tensors(self) -> dict[str, Tensor]:
        rows, targets = self.rows, self.targets
        return {
            **{f"space.{name}": tensor for name, tensor in self.space.tensors().items()},
            "rows.index": integers(rows.index),
            "rows.keys": rows.keys,
            "rows.radii": _numbers([entry.radius for entry in rows.entries]),
            "rows.given": integers([n for entry in rows.entries for n in entry.given]),
            "rows.labels": pack([answer.label for answer in rows.answers]),
            "rows.owners": integers([answer.owner for answer in rows.answers]),
            "rows.values": rows.values,
            # Every edit's questions and answers one below the other, and how many each has.
            "targets.edits": integers([t.edit_id for t in targets]),
            "targets.key_counts": integers([len(t.keys) for t in targets]),
            "targets.label_counts": integers([len(t.labels) for t in targets]),
            "targets.keys": _together([t.keys for t in targets]),
            "targets.radii": _numbers([radius for t in targets for radius in t.radii]),
            "targets.answer_of": integers([answer for t in targets for answer in t.answer_of]),
            "targets.junctions": integers([int(j) for t in targets for j in t.junctions]),
            "targets.labels": pack([label for t in targets for label in t.labels]),
            "targets.values": _together([t.values for t in targets]),
        }

    @classmethod
    def read(cls, header: Any, tensors: dict[str, Tensor], shape: ModelShape) -> "EntityChange":
        """Raises `ArtifactFaultError` for what can't be one of this model's."""
        check_entity(header, tensors, shape)
        parts = {name: tensors[f"space.{name}"] for name in SPACE}
        space = RelationSpace.read(header["space"], parts)
        given = tensors["rows.given"].view(-1, len(Junction)).tolist()
        entries = tuple(
            Entry(subject, radius, (bare, spaced, chat))
            for subject, radius, (bare, spaced, chat) in zip(
                header["subjects"], tensors["rows.radii"].tolist(), given, strict=True
            )
        )
        answers = tuple(
            Answer(label, owner)
            for label, owner in zip(
                unpack(tensors["rows.labels"]), tensors["rows.owners"].tolist(), strict=True
            )
        )
        index = tuple(tensors["rows.index"].tolist())
        rows = Rows(index, entries, tensors["rows.keys"], answers, tensors["rows.values"])
        return cls(space, tuple(_targets(header["target_subjects"], tensors, space)), rows)


def _targets(
    subjects: Sequence[str], tensors: dict[str, Tensor], space: RelationSpace
) -> Iterator[Target]:
    labels = unpack(tensors["targets.labels"])
    radii, answer_of = tensors["targets.radii"].tolist(), tensors["targets.answer_of"].tolist()
    junctions = tensors["targets.junctions"].tolist()
    key = label = value = 0
    for edit_id, keys, count in zip(
        tensors["targets.edits"].tolist(),
        tensors["targets.key_counts"].tolist(),
        tensors["targets.label_counts"].tolist(),
        strict=True,
    ):
        own: tuple[Label, ...] = labels[label : label + count]
        values = sum(map(len, own))
        yield Target(
            edit_id=edit_id,
            space=space,
            subjects=tuple(subjects[key : key + keys]),
            keys=tensors["targets.keys"][key : key + keys],
            radii=tuple(radii[key : key + keys]),
            answer_of=tuple(answer_of[key : key + keys]),
            junctions=tuple(Junction(j) for j in junctions[label : label + count]),
            labels=own,
            values=tensors["targets.values"][value : value + values],
        )
        key, label, value = key + keys, label + count, value + values


def _numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _together(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if parts else torch.empty(0)
