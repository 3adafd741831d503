"""The precision in which a weight change's factors are kept."""

import torch
from torch import Tensor

ROUNDING = torch.finfo(torch.float32).eps / 2
LOSS = 2e-6  # what rounding may cost the change, relative to its norm


def kept(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Factors left [d_out, n] and right [d_in, n], float64, of the change left @ right^T: in
    float32, or as they are where rounding would cost the change more than `LOSS`.

    That is so where the change's terms, one a column, all but cancel. Keys that are nearly parallel
    lead to such terms.
    """
    terms = torch.linalg.vector_norm(left, dim=0) * torch.linalg.vector_norm(right, dim=0)
    change = ((left.T @ left) * (right.T @ right)).sum().clamp(min=0.0).sqrt()
    if bool(ROUNDING * torch.linalg.vector_norm(terms) > LOSS * change):
        return left, right
    return left.float(), right.float()
