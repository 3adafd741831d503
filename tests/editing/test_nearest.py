"""The nearest key is the one that all distances name, however near the next one is."""

import pytest
import torch
from torch import Tensor

from service.editing.nearest import ABSENT, Nearest, distances, nearest, product_of

WIDTH = 64
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def far_and_close(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Queries and keys far from zero that differ in last bits alone, some not at all."""
    centre = 100 + 20 * random(1, WIDTH, seed=3)
    step = centre.abs() * torch.finfo(dtype).eps
    keys = centre + step * random(3_000, WIDTH, seed=4).round()
    keys[2_000:2_500] = keys[:500]
    queries = centre + step * random(40, WIDTH, seed=5).round()
    return queries.to(dtype), keys.to(dtype)


def spread(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return random(40, WIDTH, seed=1).to(dtype), random(3_000, WIDTH, seed=2).to(dtype)


def found(queries: Tensor, keys: Tensor) -> Nearest:
    order = torch.arange(len(keys), dtype=torch.int32)[None]
    return nearest(queries, keys, keys.float().square().sum(dim=1), order)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [spread, far_and_close])
def test_it_is_what_all_distances_say_bit_for_bit(make: object, dtype: torch.dtype) -> None:
    assert callable(make)
    queries, keys = make(dtype)
    everything = distances(queries, keys)
    got = found(queries, keys)
    assert torch.equal(got.distance, everything.min(dim=1).values)
    first = (everything == got.distance[:, None]).int().argmax(dim=1)
    assert torch.equal(got.row, first)
    assert torch.equal(got.rank, first)


def test_products_alone_would_say_otherwise() -> None:
    queries, keys = far_and_close(torch.float32)
    by_product = (keys.square().sum(dim=1) - 2 * queries @ keys.T).argmin(dim=1)
    assert (distances(queries, keys[by_product]).diagonal() > found(queries, keys).distance).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [spread, far_and_close])
def test_the_bound_holds(make: object, dtype: torch.dtype) -> None:
    assert callable(make)
    queries, keys = make(dtype)
    product, tolerance = product_of(queries, keys)
    own, squares = (t.float().square().sum(dim=1) for t in (queries, keys))
    lengths = own[:, None] + squares
    exact = (queries.double()[:, None] - keys.double()).square().sum(dim=-1)
    assert (lengths * (1 - tolerance) - 2 * product <= exact).all()
    assert ((distances(queries, keys).square() - exact).abs() <= tolerance * exact).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_querys_answer_does_not_depend_on_the_others(dtype: torch.dtype) -> None:
    queries, keys = far_and_close(dtype)
    together = found(queries, keys)
    for number in range(len(queries)):
        alone = found(queries[number, None], keys)
        few = found(queries[number, None], keys[:100])  # too few for a product
        assert (alone.row, alone.distance) == (together.row[number], together.distance[number])
        assert few.distance == distances(queries[number, None], keys[:100]).min()


def test_a_group_sees_the_keys_that_have_a_rank_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.editing.nearest.PRODUCTS_AT_ONCE", 40_000)  # 13 queries
    queries, keys = far_and_close(torch.float32)
    ranks = torch.arange(len(keys), dtype=torch.int32).repeat(2, 1)
    ranks[0, ::2] = ABSENT
    ranks[1] = ranks[1].flip(0)
    group = torch.arange(len(queries)) % 2
    got = nearest(queries, keys, keys.square().sum(dim=1), ranks, group)
    odd, turned = found(queries, keys[1::2]), found(queries, keys.flip(0))
    assert torch.equal(got.row[::2], 2 * odd.row[::2] + 1)
    assert torch.equal(got.rank[1::2], turned.row[1::2])
    assert torch.equal(got.row[1::2], len(keys) - 1 - turned.row[1::2])


@pytest.mark.parametrize("count", [10, 3_000])
@pytest.mark.parametrize("odd", [torch.nan, torch.inf, 1e30])
def test_queries_that_are_no_numbers_find_some_key(count: int, odd: float) -> None:
    queries, keys = spread(torch.float32)
    queries[0, 0] = odd
    ranks = torch.arange(count, dtype=torch.int32)[None]
    ranks[0, :5] = ABSENT
    got = nearest(queries, keys[:count], keys[:count].square().sum(dim=1), ranks)
    assert 5 <= got.rank[0] < count
    assert not got.distance[0] < 1e20
    assert got.distance[1] == distances(queries[1, None], keys[5:count]).min()
