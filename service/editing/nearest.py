"""The nearest of many keys: one matrix product says which it could be, exact distances decide.

The product gives each squared distance |q|^2 - 2 q.k + |k|^2 to within a bound on its rounding
(Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1). Keys that are too far
even so are out; the distances of the others are computed difference by difference in float32. The
answer is the one that all distances would give, whatever else is asked for with it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

ABSENT = torch.iinfo(torch.int32).max  # the rank of a key that is not to be found
# Numbers held at once: products of queries and keys, and differences of the two.
PRODUCTS_AT_ONCE = 2**26
DIFFERENCES_AT_ONCE = 2**24
# Fewer differences than that are had sooner than a bound on them.
FEW = 2**17


@dataclass(frozen=True)
class Nearest:
    row: Tensor  # [q] int64, of the keys
    rank: Tensor  # [q] int64
    distance: Tensor  # [q] float32


def distances(queries: Tensor, keys: Tensor) -> Tensor:
    """Float32 [..., q, k], each the same whatever else is asked for with it."""
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(queries.float(), keys.float(), compute_mode=mode)


def nearest(
    queries: Tensor, keys: Tensor, squares: Tensor, ranks: Tensor, group: Tensor | None = None
) -> Nearest:
    """The nearest of `keys` [n, d] to each of `queries` [q, d]. `squares` [n] float32 are the keys'
    squared lengths. A query of `group` g, of which None means the only one, sees the keys that have
    a rank in row g of `ranks` [g, n] int32; of several at one distance it finds the one of the
    lowest rank.
    """
    at_once = max(1, PRODUCTS_AT_ONCE // len(keys))
    if len(queries) <= at_once:
        return _nearest(queries, keys, squares, ranks if group is None else ranks[group])
    halves = [slice(None, len(queries) // 2), slice(len(queries) // 2, None)]
    first, second = (
        nearest(queries[half], keys, squares, ranks, None if group is None else group[half])
        for half in halves
    )
    return Nearest(
        torch.cat([first.row, second.row]),
        torch.cat([first.rank, second.rank]),
        torch.cat([first.distance, second.distance]),
    )


def _nearest(queries: Tensor, keys: Tensor, squares: Tensor, ranks: Tensor) -> Nearest:
    if queries.numel() * len(keys) <= FEW:
        distance = distances(queries, keys).masked_fill_(ranks == ABSENT, torch.inf)
        least = distance.amin(dim=1, keepdim=True)
        # Not `<=`: to a query that is not a number all keys are the same.
        rank, row = torch.where(distance > least, ABSENT, ranks).min(dim=1)
        return Nearest(row, rank.long(), least[:, 0])
    query, row = _candidates(queries, keys, squares, ranks)
    return _decided(len(queries), query, row, _pairs(queries, keys, query, row), ranks)


def _decided(count: int, query: Tensor, row: Tensor, distance: Tensor, ranks: Tensor) -> Nearest:
    """The nearest to each of `count` queries, by the distances [p] of pairs of a query and a key;
    each query has a pair.
    """
    least = distance.new_full((count,), torch.inf).scatter_reduce(0, query, distance, "amin")
    rank = ranks[query if len(ranks) > 1 else 0, row]
    rank = torch.where(distance > least[query], ABSENT, rank)
    lowest = rank.new_full((count,), ABSENT).scatter_reduce(0, query, rank, "amin")
    chosen = torch.where(rank == lowest[query], row, 0)
    rows = row.new_zeros(count).scatter_reduce(0, query, chosen, "amax")
    return Nearest(rows, lowest.long(), least)


def _candidates(
    queries: Tensor, keys: Tensor, squares: Tensor, ranks: Tensor
) -> tuple[Tensor, Tensor]:
    """Pairs [p] of a query and a key that may be the nearest to it."""
    product, tolerance = product_of(queries, keys)
    floors = torch.where(ranks == ABSENT, torch.inf, squares * (1 - tolerance))
    least = torch.sub(floors, product, alpha=2)  # squared distances less |q|^2, at least
    del product
    first = least.argmin(dim=1)
    every = torch.arange(len(queries), device=queries.device)
    own = queries.float().square().sum(dim=1) * (1 - tolerance)
    reach = _pairs(queries, keys, every, first).square() * (1 + tolerance) - own
    # Not `<=`: to a query that is not a number all keys are the same.
    query, row = least.gt(reach[:, None]).logical_not_().nonzero(as_tuple=True)
    return query, row


def product_of(queries: Tensor, keys: Tensor) -> tuple[Tensor, float]:
    """Inner products [q, n] and t: squared distances are (1 - t) (|q|^2 + |k|^2) - 2 q.k at least,
    with float32 squares, and those made of float32 differences are off by t of their size at most.
    """
    # Sums of d products, each addition off by 2^-23 (tensor cores cut bits off, they don't round).
    tolerance = 2 * (keys.shape[1] + 16) * torch.finfo(torch.float32).eps
    dtype = torch.promote_types(queries.dtype, keys.dtype)
    queries, keys = queries.to(dtype), keys.to(dtype)
    if dtype is torch.float32:
        return queries @ keys.T, tolerance
    if keys.is_cuda:
        return torch.mm(queries, keys.T, out_dtype=torch.float32), tolerance
    # Elsewhere sums are float32 but come rounded to the narrow type. One that is too low for it
    # becomes its lowest number, which bounds a distance as well.
    narrow = torch.finfo(dtype)
    return (queries @ keys.T).clamp_(min=narrow.min), tolerance + narrow.eps / 2


def _pairs(queries: Tensor, keys: Tensor, query: Tensor, row: Tensor) -> Tensor:
    """Distances [p] between pairs of a query and a key."""
    at_once = max(1, DIFFERENCES_AT_ONCE // keys.shape[1])
    parts = [
        distances(queries[some, None], keys[others, None])[:, 0, 0]
        for some, others in zip(query.split(at_once), row.split(at_once), strict=True)
    ]
    return torch.cat(parts)
