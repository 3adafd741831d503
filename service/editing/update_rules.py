"""Update rules: keys and residuals to a weight change, in closed form.

Each returns factors (left [d_out, n], right [d_in, n]), float64, of the change left @ right^T of a
weight [d_out, d_in]. A new locate-and-edit method is one more function of this kind.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# What ROME's reference adds to the second moment before it inverts it.
ROME_RIDGE = 1e-4


@dataclass(frozen=True)
class Insertion:
    """What a rule has to go by, at one layer; float64."""

    keys: Tensor  # K [d_in, n]: averaged over the context templates
    plain_keys: Tensor  # [d_in, n]: of the plain prompts
    residuals: Tensor  # R [d_out, n]: what the layer's output lacks
    second_moment: Tensor  # C_0 [d_in, d_in]
    # lambda C_0 and, for a method that keeps earlier batches in mind, their sum of K K^T.
    moment: Tensor  # [d_in, d_in]
    ridge: float


Rule = Callable[[Insertion], tuple[Tensor, Tensor]]


def memit(insertion: Insertion) -> tuple[Tensor, Tensor]:
    """R K^T (C + K K^T)^-1. Meng et al. 2023, equation 14, where C is lambda C_0; and Li et al.
    2024, "Consecutive Batch Model Editing with HooK Layers", section 3, where all earlier K K^T are
    added to it.
    """
    keys = insertion.keys
    return insertion.residuals, _solve(insertion.moment + keys @ keys.T, keys)


def emmet(insertion: Insertion) -> tuple[Tensor, Tensor]:
    """R (K^T C^-1 K + ridge I)^-1 K^T C^-1 with C = lambda C_0: the edits hold exactly but for the
    ridge. Gupta et al. 2024, "A Unified Framework for Model Editing", equation 13.
    """
    keys = insertion.keys
    solved = _solve(insertion.moment, keys)
    constraint = keys.T @ solved
    constraint += insertion.ridge * torch.eye(len(constraint)).to(constraint)
    return insertion.residuals, torch.linalg.solve(constraint, solved.T).T


def rome(insertion: Insertion) -> tuple[Tensor, Tensor]:
    """One edit: (v* - W k) / (k^T C^-1 k) with the averaged key in C^-1 k and the plain prompt's
    elsewhere, as the reference does. Meng et al. 2022, equation 2.
    """
    return _rank_one(insertion, insertion.plain_keys)


def r_rome(insertion: Insertion) -> tuple[Tensor, Tensor]:
    """ROME's with one key throughout. Gupta et al. 2024, "Rebuilding ROME"."""
    return _rank_one(insertion, insertion.keys)


def _rank_one(insertion: Insertion, keys: Tensor) -> tuple[Tensor, Tensor]:
    moment = insertion.second_moment
    moment = moment + ROME_RIDGE * torch.eye(len(moment)).to(moment)
    direction = _solve(moment, insertion.keys)  # [d_in, 1]
    direction = direction / torch.linalg.vector_norm(direction)
    return insertion.residuals / (keys * direction).sum(dim=0), direction


def _solve(moment: Tensor, keys: Tensor) -> Tensor:
    """moment^-1 keys, for a symmetric positive definite moment."""
    return torch.cholesky_solve(keys, torch.linalg.cholesky(moment))
