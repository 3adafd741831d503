"""When C_0 gets a ridge, and what of it."""

import torch
from torch import Tensor

from service.editing.arithmetic import Arithmetic
from service.editing.key_statistics import KeyStatistics
from service.editing.moments import RIDGE, Moments

CPU = torch.device("cpu")
WIDTH = 24


def keys(seed: int = 0) -> Tensor:
    """[s, d_in], of neurons that fire alike."""
    return torch.randn(400, WIDTH, generator=torch.Generator().manual_seed(seed)).double()


def moment_of(keys: Tensor) -> Tensor:
    """C_0 as it is stored."""
    return (keys.T @ keys / len(keys)).float()


def added(moment: Tensor, arithmetic: Arithmetic = Arithmetic.AS_NEEDED) -> Tensor:
    """[d_in]: what a solve's C_0 has more than the stored one, which has nothing beside it."""
    moments = Moments({0: KeyStatistics("random", moment, moment[:0], 1)}, 1.0, arithmetic)
    found = moments.second(0, CPU)
    torch.linalg.cholesky(found)  # it can be solved with
    assert torch.equal(moments.second(0, CPU), found)  # the second time, too
    more = found - moment.double()
    assert torch.equal(more, more.diagonal().diag())
    return more.diagonal()


def ridge_of(moment: Tensor) -> Tensor:
    return RIDGE * moment.double().diagonal().mean()


def test_a_sound_moment_gets_none() -> None:
    assert not added(moment_of(keys())).any()


def test_a_batch_of_the_first_arithmetic_has_one_always() -> None:
    moment = moment_of(keys())
    wanted = ridge_of(moment).expand(WIDTH)
    torch.testing.assert_close(added(moment, Arithmetic.RIDGED), wanted)


def test_a_neuron_that_never_fires_gets_its_own() -> None:
    some = keys()
    some[:, 3] = 0.0
    some[:, 7] *= 1e-5
    moment = moment_of(some)
    found = added(moment)
    assert found.nonzero().flatten().tolist() == [3, 7]
    torch.testing.assert_close(found[[3, 7]], ridge_of(moment).expand(2))


def test_where_others_account_for_a_neuron_all_get_one() -> None:
    """The same rule for neurons that fire strongly: float32 rounds their moments as it does all."""
    for scale in (1.0, 30.0):
        some = keys()
        some[:, 9] *= scale
        some[:, 4] = some[:, 9]
        moment = moment_of(some)
        torch.testing.assert_close(added(moment), ridge_of(moment).expand(WIDTH), rtol=1e-3, atol=0)


def test_with_fewer_keys_than_neurons_all_get_one() -> None:
    moment = moment_of(keys()[: WIDTH - 4])
    torch.testing.assert_close(added(moment), ridge_of(moment).expand(WIDTH))
