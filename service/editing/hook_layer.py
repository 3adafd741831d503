"""Hook layers: a weight change per edited projection, and the gate that decides by token where it
acts.

Li et al. 2024, "Consecutive Batch Model Editing with HooK Layers" (CoachHook). With the gate
`always` they hold the change of any other locate-and-edit method.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

import torch
from torch import Tensor

from service.editing.taps import per_text


class Gate(StrEnum):
    """Which tokens get the changed weight's output."""

    ALWAYS = "always"  # all
    SEQUENCE = "sequence"  # those whose z-score among their own text's tokens reaches alpha
    CALIBRATED = "calibrated"  # those whose z-score against unrelated text reaches alpha


@dataclass(frozen=True)
class Update:
    """What one batch brings to one layer: the change left @ right^T of its weight [d_out, d_in]."""

    left: Tensor  # [d_out, n] float32
    right: Tensor  # [d_in, n] float32
    keys: Tensor  # [d_in, n] float32: what C_accu grows by

    @cached_property
    def digest(self) -> bytes:
        hasher = hashlib.sha256()
        for tensor in (self.left, self.right, self.keys):
            hasher.update(tensor.contiguous().cpu().numpy().tobytes())
        return hasher.digest()


@dataclass(frozen=True)
class HookLayer:
    """The state of one edited projection."""

    updates: tuple[Update, ...] = ()
    alpha: float = math.inf  # least z-score at which a gate that goes by it fires
    mean: float = 0.0  # of the change's norm on unrelated text, for the calibrated gate
    deviation: float = 0.0

    @cached_property
    def delta(self) -> Tensor:
        """[d_out, d_in] float32: the whole change."""
        return sum_of(self.updates)

    def with_update(self, update: Update) -> "HookLayer":
        return replace(self, updates=(*self.updates, update))

    def accumulated(self, d_in: int, device: torch.device) -> Tensor:
        """[d_in, d_in] float64: the sum of K K^T over all batches."""
        total = torch.zeros(d_in, d_in, dtype=torch.float64, device=device)
        for update in self.updates:
            keys = update.keys.to(total)
            total += keys @ keys.T
        return total

    @property
    def digest(self) -> bytes:
        numbers = repr((self.alpha, self.mean, self.deviation)).encode()
        return hashlib.sha256(numbers + b"".join(u.digest for u in self.updates)).digest()


def sum_of(updates: tuple[Update, ...]) -> Tensor:
    """The weight change of some updates, summed in their order."""
    total = updates[0].left @ updates[0].right.T
    for update in updates[1:]:
        total = total + update.left @ update.right.T
    return total


@dataclass(frozen=True)
class HookLayers:
    """An immutable overlay of hook layers, by number of the decoder layer."""

    gate: Gate
    layers: Mapping[int, HookLayer]

    @property
    def checksum(self) -> str:
        """sha256 of everything that decides what the model says."""
        hasher = hashlib.sha256(self.gate.encode())
        for number, layer in sorted(self.layers.items()):
            hasher.update(number.to_bytes(4, "little") + layer.digest)
        return hasher.hexdigest()

    def with_layer(self, number: int, layer: HookLayer) -> "HookLayers":
        return replace(self, layers={**self.layers, number: layer})


def z_scores(norms: Tensor, present: Tensor) -> Tensor:
    """[b, t]: each token's z-score among the present tokens of its own text, by the unbiased
    deviation. A text of one token has none: NaN, which reaches no alpha.
    """
    count = present.sum(dim=1, keepdim=True)
    mean = (norms * present).sum(dim=1, keepdim=True) / count
    squares = ((norms - mean) ** 2 * present).sum(dim=1, keepdim=True)
    return (norms - mean) / (squares / (count - 1)).sqrt()


def gated(layer: HookLayer, gate: Gate, inputs: Tensor, outputs: Tensor, present: Tensor) -> Tensor:
    """The outputs [b, t, d_out] of a projection whose gate is open where it should be, given its
    inputs [b, t, d_in] and own outputs; `present` [b, t] tells real tokens from padding.
    """
    change = per_text(inputs, present).float() @ layer.delta.T
    if gate is not Gate.ALWAYS:
        norms = torch.linalg.vector_norm(change, dim=2)
        if gate is Gate.SEQUENCE:
            scores = z_scores(norms, present)
        else:
            scores = (norms - layer.mean) / layer.deviation
        change = change * (scores >= layer.alpha)[..., None]
    return outputs + change.to(outputs.dtype).view_as(outputs)
