"""A space in which prompts that ask the same of a subject lie together, however they are worded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True, eq=False)
class Projection:
    """Maps features of a question to a direction."""

    matrix: Tensor  # [f, k] float32
    center: Tensor  # [k] float32: where the average question is projected to

    def directions(self, features: Tensor) -> Tensor:
        """Projects features [n, f], on the CPU, to [n, k] of length 1, each the same whatever else
        is asked for with it.
        """
        # One product a question: the sums of a matrix product depend on how many rows it has.
        rows = [question @ self.matrix for question in features.float()]
        projected = torch.stack(rows) if rows else torch.empty(0, len(self.center))
        return normalize(projected - self.center, dim=1)


@dataclass(frozen=True, eq=False)
class RelationSpace:
    """Distances between directions are 1 less their cosine: 0 to 2.

    A prompt's question is told by the state at its last token and the mean of those in its last
    sentence; a question that the model itself has come to, by the state at its last token alone.
    """

    layer: int  # last tokens' states enter this one
    sentence_layer: int  # and those of a sentence this one, which is no later
    asked: Projection  # of a last token's state and a sentence's mean, one behind the other
    decoded: Projection  # of a last token's state
    # How far another wording of a question may lie.
    asked_radius: float
    decoded_radius: float

    @cached_property
    def digest(self) -> str:
        """sha256 of all of it."""
        hasher = hashlib.sha256(repr(self.numbers()).encode())
        for tensor in self.tensors().values():
            hasher.update(tensor.contiguous().numpy().tobytes())
        return hasher.hexdigest()

    def tensors(self) -> dict[str, Tensor]:
        return {
            "asked": self.asked.matrix,
            "asked_center": self.asked.center,
            "decoded": self.decoded.matrix,
            "decoded_center": self.decoded.center,
        }

    def numbers(self) -> dict[str, float]:
        return {
            "layer": self.layer,
            "sentence_layer": self.sentence_layer,
            "asked_radius": self.asked_radius,
            "decoded_radius": self.decoded_radius,
        }

    @classmethod
    def read(cls, numbers: Mapping[str, float], tensors: Mapping[str, Tensor]) -> "RelationSpace":
        """The inverse of the two."""
        return cls(
            int(numbers["layer"]),
            int(numbers["sentence_layer"]),
            Projection(tensors["asked"], tensors["asked_center"]),
            Projection(tensors["decoded"], tensors["decoded_center"]),
            float(numbers["asked_radius"]),
            float(numbers["decoded_radius"]),
        )

    @property
    def width(self) -> int:
        """Numbers of a key: the direction of a question as asked, and that as decoded."""
        return len(self.asked.center) + len(self.decoded.center)

    def keys(self, states: Tensor, means: Tensor) -> Tensor:
        """[n, k]: of last tokens' states and sentences' means [n, d]."""
        asked = self.asked.directions(torch.cat([states, means], dim=1))
        return torch.cat([asked, self.decoded.directions(states)], dim=1)

    def half(self, keys: Tensor, *, decoded: bool) -> Tensor:
        """The part of keys [..., k] that a direction of one kind is held against."""
        edge = len(self.asked.center)
        return keys[..., edge:] if decoded else keys[..., :edge]


def distances(direction: Tensor, keys: Tensor) -> Tensor:
    """[n]: of a direction [k] to others [n, k], all of length 1."""
    return 1 - (keys * direction).sum(dim=1)
