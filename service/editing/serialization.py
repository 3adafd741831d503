"""A version's artifact: safetensors bytes that hold the rows it writes and, for a batch, the
targets that its rows came from, so that the batch can be replayed on another history.
"""

import json
from collections.abc import Sequence
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
        "targets.edits": torch.tensor([t.edit_id for t in targets], dtype=torch.int64),
        "targets.labels": _pack([target.label for target in targets]),
        # Every edit's keys one below the other, and how many each has.
        "targets.key_counts": torch.tensor([len(t.keys) for t in targets], dtype=torch.int64),
        "targets.keys": torch.cat([t.keys for t in targets]) if targets else torch.empty(0),
        "targets.values": torch.stack([t.value for t in targets]) if targets else torch.empty(0),
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
    counts = tensors["targets.key_counts"].tolist()
    targets = zip(
        tensors["targets.edits"].tolist(),
        tensors["targets.keys"].split(counts) if counts else [],
        tensors["targets.values"],
        _unpack(tensors["targets.labels"]),
        strict=True,
    )
    return Change(
        site=Site(site["layer"], site["module"], Replacement(site["replacement"])),
        radius=header["radius"],
        targets=tuple(Target(*parts) for parts in targets),
        rows=Rows(
            index=tuple(tensors["rows.index"].tolist()),
            keys=tensors["rows.keys"],
            values=tensors["rows.values"],
            radii=tensors["rows.radii"],
            labels=_unpack(tensors["rows.labels"]),
            owners=tuple(tensors["rows.owners"].tolist()),
        ),
    )


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
