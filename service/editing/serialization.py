"""A version's artifact: safetensors bytes that hold the rows it writes and, for a batch, the
targets that its rows came from, so that the batch can be replayed on another history.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from service.editing.codebook import Label, Replacement, Rows, Site, Target

FORMAT = "errata-codebook-1"
NO_TOKEN = -1  # pads labels


@dataclass(frozen=True)
class Change:
    """What one version does to a codebook."""

    site: Site
    radius: float  # initial deferral radius of the inserting rule
    targets: tuple[Target, ...]  # empty for versions that no batch made
    rows: Rows


def encode(change: Change) -> bytes:
    """The same change gives the same bytes."""
    rows, targets = change.rows, change.targets
    header = {"format": FORMAT, "site": asdict(change.site), "radius": change.radius}
    tensors = {
        "rows.index": torch.tensor(rows.index, dtype=torch.int64),
        "rows.keys": rows.keys,
        "rows.values": rows.values,
        "rows.radii": rows.radii,
        "rows.labels": _pack(rows.labels),
        "rows.owners": torch.tensor(rows.owners, dtype=torch.int64),
        # Every edit's keys and values one below the other, and how many each has.
        "targets.edits": torch.tensor([t.edit_id for t in targets], dtype=torch.int64),
        "targets.key_counts": torch.tensor([len(t.keys) for t in targets], dtype=torch.int64),
        "targets.value_counts": torch.tensor([len(t.values) for t in targets], dtype=torch.int64),
        "targets.keys": torch.cat([t.keys for t in targets]) if targets else torch.empty(0),
        "targets.values": torch.cat([t.values for t in targets]) if targets else torch.empty(0),
        "targets.labels": _pack([label for target in targets for label in target.labels]),
        "targets.value_of": torch.tensor(
            [v for t in targets for v in t.value_of], dtype=torch.int64
        ),
    }
    return save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"errata": json.dumps(header, sort_keys=True)},
    )


def decode(content: bytes) -> Change:
    """The inverse of `encode`, for content whose hash was checked."""
    header = _header(content)
    tensors = load(content)
    site = header["site"]
    return Change(
        site=Site(site["layer"], site["module"], Replacement(site["replacement"])),
        radius=header["radius"],
        targets=tuple(_targets(tensors)),
        rows=Rows(
            index=tuple(tensors["rows.index"].tolist()),
            keys=tensors["rows.keys"],
            values=tensors["rows.values"],
            radii=tensors["rows.radii"],
            labels=_unpack(tensors["rows.labels"]),
            owners=tuple(tensors["rows.owners"].tolist()),
        ),
    )


def _targets(tensors: dict[str, Tensor]) -> Iterator[Target]:
    labels = _unpack(tensors["targets.labels"])
    value_of = tensors["targets.value_of"].tolist()
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
        )
        key += keys
        value += values


def _header(content: bytes) -> Any:
    """safetensors: eight bytes of header length, then JSON with our metadata in it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["errata"])


def _pack(labels: Sequence[Label]) -> Tensor:
    if not labels:
        return torch.empty(0, 0, dtype=torch.int64)
    rows = [torch.tensor(label, dtype=torch.int64) for label in labels]
    return pad_sequence(rows, batch_first=True, padding_value=NO_TOKEN)


def _unpack(packed: Tensor) -> tuple[Label, ...]:
    return tuple(tuple(t for t in row if t != NO_TOKEN) for row in packed.tolist())
