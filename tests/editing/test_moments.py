"""Second moments of a history of batches, whatever befalls the making of one of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from service.editing.hook_layer import Update
from service.editing.key_statistics import KeyStatistics
from service.editing.moments import Moments

LAYER, WIDTH, WEIGHT = 3, 96, 2.0
CPU = torch.device("cpu")
SECOND = torch.eye(WIDTH) * 3


def update(seed: int, width: int = WIDTH) -> Update:
    keys = torch.randn(width, 5, generator=torch.Generator().manual_seed(seed))
    return Update(torch.empty(0), torch.empty(0), keys, torch.empty(0))


HISTORY = tuple(update(seed) for seed in range(6))


def moments() -> Moments:
    return Moments({LAYER: KeyStatistics("test", SECOND, torch.empty(0), 1)}, WEIGHT)


def expected(updates: tuple[Update, ...]) -> Tensor:
    total = WEIGHT * SECOND.double()
    for one in updates:
        total = total + one.keys.double() @ one.keys.double().T
    return total


def test_a_history_that_grows_and_shrinks_is_summed_anew_or_on() -> None:
    some = moments()
    for length in (2, 4, 4, 3, 6, 0, 6):
        found = some.weighted(LAYER, HISTORY[:length], CPU)
        torch.testing.assert_close(found, expected(HISTORY[:length]), rtol=1e-12, atol=1e-12)


def test_a_sum_that_fails_half_way_leaves_nothing_of_itself() -> None:
    some = moments()
    some.weighted(LAYER, HISTORY[:2], CPU)
    with pytest.raises(RuntimeError):  # of the third update are the keys added, not of the fourth
        some.weighted(LAYER, (*HISTORY[:3], update(9, WIDTH + 1)), CPU)
    found = some.weighted(LAYER, HISTORY[:4], CPU)
    assert torch.equal(found, moments().weighted(LAYER, HISTORY[:4], CPU))


@pytest.mark.usefixtures("_eager")
def test_threads_at_different_histories_do_not_mix_them() -> None:
    some = moments()
    wanted = [moments().weighted(LAYER, HISTORY[:n], CPU) for n in range(len(HISTORY) + 1)]

    def ask(number: int) -> bool:
        lengths = [1 + (number + step) % len(HISTORY) for step in range(300)]
        return all(torch.equal(some.weighted(LAYER, HISTORY[:n], CPU), wanted[n]) for n in lengths)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
