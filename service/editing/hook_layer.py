"""Hook layers: a weight change per edited projection, and the gate that decides by token where it
acts.

Li et al. 2024, "Consecutive Batch Model Editing with HooK Layers" (CoachHook). With the gate
`always` they hold the change of any other locate-and-edit method.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from service.editing.gates import Gate

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Update:
    """What one batch brings to one layer: the change left @ right^T of its weight [d_out, d_in].

    The keys of the batch's facts are kept where a later batch asks for them, else there are none.
    """

    # Both float32, or both float64 where rounding would have cost the change too much.
    left: Tensor  # [d_out, n]
    right: Tensor  # [d_in, n]
    keys: Tensor  # [d_in, n or 0] float32: averaged over contexts, what C_accu grows by
    plain_keys: Tensor  # [d_in, n or 0] float32: the prompts' own, for the calibrated gate
    # Ids of the edits that the columns of left and right are of; empty where they are not known.
    edits: tuple[int, ...] = ()

    @property
    def change(self) -> Tensor:
        """[d_out, d_in] float32."""
        return (self.left @ self.right.T).float()

    @cached_property
    def digest(self) -> bytes:
        hasher = hashlib.sha256()
        for name in TENSORS:
            tensor: Tensor = getattr(self, name)
            hasher.update(tensor.contiguous().numpy().tobytes())
        return hasher.digest()


# What an update does, and what later ones go by: whose it is decides nothing.
TENSORS = tuple(field.name for field in fields(Update) if field.name != "edits")


@dataclass(frozen=True, eq=False)
class HookLayer:
    """The state of one edited projection."""

    updates: tuple[Update, ...] = ()
    alpha: float = math.inf  # least z-score at which a gate that goes by it fires
    mean: float = 0.0  # of the change's norm on unrelated text, for the calibrated gate
    deviation: float = 0.0
    device: torch.device = CPU  # of `delta`

    @cached_property
    def delta(self) -> Tensor:
        """[d_out, d_in] float32: the whole change. Summed on the CPU, in the order of the updates,
        so that it has the same bits wherever and whenever it is needed.
        """
        total = self.updates[0].change
        for update in self.updates[1:]:
            total += update.change
        return total.to(self.device)

    def with_update(self, update: Update) -> "HookLayer":
        grown = replace(self, updates=(*self.updates, update))
        if "delta" in self.__dict__:  # one step further in the same sum
            grown.__dict__["delta"] = self.delta + update.change.to(self.device)
        return grown

    def behind(self, alpha: float, mean: float, deviation: float) -> "HookLayer":
        """The same change behind another setting of its gate."""
        return self._replaced(alpha=alpha, mean=mean, deviation=deviation)

    def _replaced(self, **changes: Any) -> "HookLayer":
        """dataclasses.replace, which forgets the sum."""
        other = replace(self, **changes)
        if "delta" in self.__dict__:
            other.__dict__["delta"] = self.delta.to(other.device)
        return other

    def to(self, device: torch.device) -> "HookLayer":
        if self.updates:
            _ = self.delta  # summed once, here, for all devices
        return self._replaced(device=device)

    @property
    def digest(self) -> bytes:
        numbers = repr((self.alpha, self.mean, self.deviation)).encode()
        return hashlib.sha256(numbers + b"".join(u.digest for u in self.updates)).digest()


@dataclass(frozen=True, eq=False)
class HookLayers:
    """An immutable overlay of hook layers, by number of the decoder layer."""

    gate: Gate
    layers: Mapping[int, HookLayer]

    @cached_property
    def checksum(self) -> str:
        """sha256 of everything that decides what the model says."""
        hasher = hashlib.sha256(self.gate.encode())
        for number, layer in sorted(self.layers.items()):
            hasher.update(number.to_bytes(4, "little") + layer.digest)
        return hasher.hexdigest()

    def layer(self, number: int) -> HookLayer:
        return self.layers.get(number, HookLayer())

    def with_layer(self, number: int, layer: HookLayer) -> "HookLayers":
        return replace(self, layers={**self.layers, number: layer})

    def to(self, device: torch.device) -> "HookLayers":
        if all(layer.device == device for layer in self.layers.values()):
            return self
        moved = {number: layer.to(device) for number, layer in self.layers.items()}
        return replace(self, layers=moved)
