"""Shapes of models that there need not be."""

import torch

from service.editing.model_shape import ModelShape, Widths


def small(d_in: int, d_out: int) -> ModelShape:
    """A shape of four layers whose only module is `mlp`, and a hundred tokens."""
    known = {"mlp": Widths(d_in, d_out)}
    return ModelShape((known,) * 4, "mlp", 100, torch.float32)
