"""Residuals where an MLP's output is normed before it is added (Gemma 2 and 3, OLMo 2)."""

import torch
from torch import Tensor, nn


def before_norm(norm: nn.Module, outputs: Tensor, residuals: Tensor) -> Tensor:
    """What an RMS norm's inputs `outputs` [n, d] lack so that what it returns changes by
    `residuals` [n, d] in direction: a norm lets no length through, so the inputs keep theirs.
    """
    with torch.no_grad():
        dtype = next(norm.parameters()).dtype
        one = torch.ones_like(outputs[:1], dtype=dtype)
        gain = norm(one).to(outputs)  # of a vector of length 1
        wanted = (norm(outputs.to(dtype)).to(outputs) + residuals) / gain
    wanted = torch.where(gain == 0, outputs, wanted)
    return wanted * (_length(outputs) / _length(wanted)) - outputs


def _length(rows: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return lengths
