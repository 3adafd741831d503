"""Whether an artifact of hook layers can be one of this model's: all that it holds, before it is
read.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from service.editing.gates import Gate
from service.editing.hook_layer import TENSORS
from service.editing.model_shape import ModelShape
from service.editing.parts import ID_LIMIT, Parts, fields, number, shown, whole_number
from service.errors import ArtifactFaultError

LAYER = ("updates", "alpha", "mean", "deviation")
TARGETS = tuple(
    f"targets.{name}"
    for name in (
        "edits",
        "groups",
        "group_sizes",
        "text_lengths",
        "text_subjects",
        "text_tokens",
        "target_lengths",
        "target_tokens",
        "states",
    )
)


# Absent where each text names its subject once.
EARLIER = ("targets.text_earlier_counts", "targets.text_earlier")


def check_hooks(header: Any, tensors: Mapping[str, Tensor], shape: ModelShape) -> None:
    """Raises `ArtifactFaultError` for the first part that can't be."""
    header = fields(header, "the header", ("format", "gate", "layers"))
    gate = header["gate"]
    if gate not in list(Gate):
        raise ArtifactFaultError("gate", f"is {shown(gate)}, and must be one of {', '.join(Gate)}")
    updates = _updates(header["layers"], Gate(gate), shape)
    parts = Parts(tensors)
    # As many as the header claims are looked for only once there can be so many.
    most = len(parts) // len(TENSORS)
    for layer, count in updates.items():
        if count > most:
            name = f"layers.{layer}.updates"
            raise ArtifactFaultError(name, f"is {count}, and there are tensors of {most} at most")
    stems = [f"layer.{layer}.{i}" for layer, count in updates.items() for i in range(count)]
    attributed = [f"{stem}.edits" for stem in stems if f"{stem}.edits" in parts]  # not of old ones
    wanted = [f"{stem}.{name}" for stem in stems for name in TENSORS]
    parts.check_names((*wanted, *attributed, *TARGETS), optional=EARLIER)
    for layer, count in updates.items():
        for i in range(count):
            _check_update(parts, layer, i, Gate(gate), shape)
    _check_targets(parts, shape)


def _updates(layers: Any, gate: Gate, shape: ModelShape) -> dict[int, int]:
    """How many each layer has, by its number."""
    if not isinstance(layers, dict):
        raise ArtifactFaultError("layers", "is no object")
    found = {}
    for key, value in layers.items():
        if key not in map(str, range(len(shape.layers))):
            reason = f"names layer {shown(key)}, and the model has 0 to {len(shape.layers) - 1}"
            raise ArtifactFaultError("layers", reason)
        name = f"layers.{key}"
        layer = fields(value, name, LAYER)
        found[int(key)] = whole_number(layer["updates"], f"{name}.updates", below=ID_LIMIT)
        # A gate that was never set is shut: its alpha is infinite.
        if number(layer["alpha"], f"{name}.alpha") == -math.inf:
            raise ArtifactFaultError(f"{name}.alpha", "is not finite")
        for field in ("mean", "deviation"):
            if not 0 <= number(layer[field], f"{name}.{field}") < math.inf:
                raise ArtifactFaultError(f"{name}.{field}", "is negative or not finite")
        if gate is Gate.CALIBRATED and layer["deviation"] == 0:
            raise ArtifactFaultError(
                f"{name}.deviation", f"is 0, and the gate '{gate}' divides by it"
            )
    return found


def _check_update(parts: Parts, layer: int, i: int, gate: Gate, shape: ModelShape) -> None:
    widths = shape.projection(layer)
    stem = f"layer.{layer}.{i}"
    count = parts.columns(f"{stem}.left")
    # Factors whose terms all but cancel are kept in float64, both of them.
    left = parts.floats(f"{stem}.left", widths.d_out, count, like=f"{stem}.left")
    right = parts.floats(f"{stem}.right", widths.d_in, count, like=f"{stem}.left")
    if not count:
        raise ArtifactFaultError(f"{stem}.left", "is of no edit")
    # What serves is the product in float32.
    if not bool(torch.isfinite((count * left.abs().max() * right.abs().max()).float())):
        raise ArtifactFaultError(f"{stem}.left", f"is so large that {stem}.right makes it infinite")
    for name in ("keys", "plain_keys"):
        whole = f"{stem}.{name}"
        # The calibrated gate is set by the prompts' own keys of all updates.
        needed = name == "plain_keys" and gate is Gate.CALIBRATED
        kept = count if needed or parts.columns(whole) else 0
        parts.floats(whole, widths.d_in, kept)
    edits = f"{stem}.edits"
    if edits in parts and parts.edits(edits):
        parts.edits(edits, count)


def _check_targets(parts: Parts, shape: ModelShape) -> None:
    edits = parts.edits("targets.edits")
    if len(set(edits)) != len(edits):
        raise ArtifactFaultError("targets.edits", "names an edit twice")
    groups = parts.integers("targets.groups", len(edits), least=1)
    sizes = parts.integers("targets.group_sizes", sum(groups), least=1)
    # The prompt itself and the subject's essence come before the contexts.
    lengths = parts.integers("targets.text_lengths", 2 * len(edits) + sum(sizes), least=1)
    subjects = parts.integers("targets.text_subjects", len(lengths))
    for text, (length, subject) in enumerate(zip(lengths, subjects, strict=True)):
        if subject >= length:
            reason = f"is at token {subject} of text {text}, which has {length}"
            raise ArtifactFaultError("targets.text_subjects", reason)
    _check_earlier(parts, subjects)
    parts.integers("targets.text_tokens", sum(lengths), below=shape.vocabulary)
    targets = parts.integers("targets.target_lengths", len(edits), least=1)
    parts.integers("targets.target_tokens", sum(targets), below=shape.vocabulary)
    parts.floats("targets.states", len(edits), shape.hidden)


def _check_earlier(parts: Parts, subjects: Sequence[int]) -> None:
    """Where texts name their subjects before the last time, in the texts' order."""
    there = [name for name in EARLIER if name in parts]
    if not there:
        return
    if len(there) < len(EARLIER):
        raise ArtifactFaultError(there[0], f"needs both {' and '.join(EARLIER)}")
    counts = parts.integers(EARLIER[0], len(subjects))
    places = iter(parts.integers(EARLIER[1], sum(counts)))
    for text, (count, last) in enumerate(zip(counts, subjects, strict=True)):
        own = [*itertools.islice(places, count), last]
        if any(later <= earlier for earlier, later in pairwise(own)):
            raise ArtifactFaultError(EARLIER[1], f"does not ascend to text {text}'s last subject")
