"""What one version does to a codebook, as an artifact: the rows that it writes and, for a batch,
the targets that they came from, so that the batch can be replayed on another history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from service.editing.codebook import Codebook, Label, Replacement, Rows, Site, Target
from service.editing.codebook_checks import NO_TOKEN, RADII, SPELLED, check_codebook
from service.editing.growth import entries_over, latest
from service.editing.model_shape import ModelShape
from service.editing.outlines import CodebookOutline, Outline, outline_of
from service.editing.overlays import Overlay
from service.errors import ArtifactFaultError

FORMAT = "errata-codebook-1"


@dataclass(frozen=True)
class CodebookChange:
    site: Site
    targets: tuple[Target, ...]  # empty for versions that no batch made
    rows: Rows

    def over(self, parent: Codebook | None) -> Codebook | None:
        """The state of a version whose parent's is `parent`. Raises `ArtifactFaultError`."""
        self.outline(outline_of(parent))
        if not self.rows.index:
            return parent
        return (parent or Codebook.empty()).with_rows(self.site, self.rows)

    def outline(self, parent: Outline) -> Outline:
        """That of the state over one with the outline `parent`. Raises `ArtifactFaultError` for a
        change that was not made over such a one.
        """
        index = self.rows.index
        if not index:
            return parent
        if parent is not None and not isinstance(parent, CodebookOutline):
            raise ArtifactFaultError("rows.index", "is of a codebook, and its parent is none")
        known = 0
        if parent is not None:
            known = parent.entries
            if parent.site != self.site:
                raise ArtifactFaultError(
                    "site", f"is {self.site}, and its parent's is {parent.site}"
                )
        return CodebookOutline(self.site, entries_over(known, index))

    def overruled(self, parent: Overlay | None) -> dict[int, int]:
        """Returns, by edit, the latest other one of the state before whose place it takes somewhere
        with another target: no radius can part the two.
        """
        if not isinstance(parent, Codebook):
            return {}
        rows = self.rows
        return latest(
            (owner, parent.owners[at])
            for at, owner, label in zip(rows.index, rows.owners, rows.labels, strict=True)
            if at < len(parent) and parent.labels[at] != label
        )

    def header(self) -> dict[str, Any]:
        return {"format": FORMAT, "site": asdict(self.site)}

    def tensors(self) -> dict[str, Tensor]:
        rows, targets = self.rows, self.targets
        return {
            "rows.index": integers(rows.index),
            "rows.keys": rows.keys,
            "rows.values": rows.values,
            "rows.radii": rows.radii,
            "rows.labels": pack(rows.labels),
            "rows.owners": integers(rows.owners),
            # Every edit's keys and values one below the other, and how many each has.
            "targets.edits": integers([t.edit_id for t in targets]),
            "targets.key_counts": integers([len(t.keys) for t in targets]),
            "targets.value_counts": integers([len(t.values) for t in targets]),
            "targets.keys": torch.cat([t.keys for t in targets]) if targets else torch.empty(0),
            "targets.values": torch.cat([t.values for t in targets]) if targets else torch.empty(0),
            "targets.labels": pack([label for target in targets for label in target.labels]),
            "targets.value_of": integers([v for t in targets for v in t.value_of]),
            SPELLED: integers(
                [int(t.is_spelled(key)) for t in targets for key in range(len(t.keys))]
            ),
            **self._radii(),
        }

    def _radii(self) -> dict[str, Tensor]:
        """What a batch writes that is made anew; targets of before have none."""
        if not all(target.radii for target in self.targets):
            return {}
        radii = [radius for target in self.targets for radius in target.radii]
        return {RADII: torch.tensor(radii, dtype=torch.float32)}

    @classmethod
    def read(cls, header: Any, tensors: dict[str, Tensor], shape: ModelShape) -> "CodebookChange":
        """Raises `ArtifactFaultError` for what can't be one of this model's."""
        check_codebook(header, tensors, shape)
        site = header["site"]
        return cls(
            site=Site(site["layer"], site["module"], Replacement(site["replacement"])),
            targets=tuple(_targets(tensors)),
            rows=Rows(
                index=tuple(tensors["rows.index"].tolist()),
                keys=tensors["rows.keys"],
                values=tensors["rows.values"],
                radii=tensors["rows.radii"],
                labels=unpack(tensors["rows.labels"]),
                owners=tuple(tensors["rows.owners"].tolist()),
            ),
        )


def _targets(tensors: dict[str, Tensor]) -> Iterator[Target]:
    labels = unpack(tensors["targets.labels"])
    value_of = tensors["targets.value_of"].tolist()
    # Artifacts of before have no spellings.
    spelled = [bool(one) for one in tensors.get(SPELLED, torch.empty(0)).tolist()]
    radii = tensors.get(RADII, torch.empty(0)).tolist()
    key = value = 0
    for edit_id, keys, values in zip(
        tensors["targets.edits"].tolist(),
        tensors["targets.key_counts"].tolist(),
        tensors["targets.value_counts"].tolist(),
        strict=True,
    ):
        yield Target(
            edit_id,
            tensors["targets.keys"][key : key + keys],
            tensors["targets.values"][value : value + values],
            labels[value : value + values],
            tuple(value_of[key : key + keys]),
            tuple(spelled[key : key + keys]),
            tuple(radii[key : key + keys]),
        )
        key += keys
        value += values


def integers(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


def pack(labels: Sequence[Label]) -> Tensor:
    if not labels:
        return torch.empty(0, 0, dtype=torch.int64)
    rows = [torch.tensor(label, dtype=torch.int64) for label in labels]
    return pad_sequence(rows, batch_first=True, padding_value=NO_TOKEN)


def unpack(packed: Tensor) -> tuple[Label, ...]:
    return tuple(tuple(t for t in row if t != NO_TOKEN) for row in packed.tolist())
