"""What an artifact is held against: the sizes of the model that it is for, without its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Widths:
    """Numbers of a token that a module takes and gives."""

    d_in: int
    d_out: int


@dataclass(frozen=True)
class ModelShape:
    layers: tuple[Mapping[str, Widths], ...]  # by path in the layer: what maps one tensor to one
    down_projection: str  # path within a layer
    vocabulary: int  # token ids lie below it
    dtype: torch.dtype  # of what modules take and give

    def projection(self, layer: int) -> Widths:
        return self.layers[layer][self.down_projection]

    @property
    def hidden(self) -> int:
        """Numbers of a token between layers."""
        return self.projection(0).d_out


def is_attention(module: str) -> bool:
    """Tells by a module's path. Attention looks at other tokens, and maps no one tensor to one."""
    return "attn" in module.lower().rpartition(".")[2]
