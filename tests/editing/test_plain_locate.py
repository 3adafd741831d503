"""What the locate-and-edit methods change, against plain implementations in float64: on keys that
have little to do with each other, and on keys that are nearly parallel.
"""

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from torch import Tensor

from service.editing.accumulation import Accumulation
from service.editing.hook_layer import HookLayers
from service.editing.key_statistics import KeyStatistics
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.requests import FactRequest, FactTarget, SubjectText
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states
from tests.editing.plain_locate import PlainLocate
from tests.models import inserted
from tests.tiny import VOCABULARY, tiny

TOLERANCE = 2e-5  # of the norm of what is wanted
LAYERS = (0, 1, 2)
LAMBDA = 5.0
ALPHA = 10.0  # higher than any score, so that each batch lowers it
FACTS = 4
MODEL = tiny("gpt2")


@cache
def statistics() -> dict[int, KeyStatistics]:
    generator = torch.Generator().manual_seed(1)
    found = Accumulation.empty(LAYERS)
    found.add(MODEL, [tokens(50, generator) for _ in range(40)])
    return found.statistics("random tokens")


def tokens(length: int, generator: torch.Generator) -> tuple[int, ...]:
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


def facts(parallel: bool) -> list[FactRequest]:
    """If `parallel`, the same long text after some other first token."""
    generator = torch.Generator().manual_seed(2)
    shared = tokens(30, generator)
    prefixes = [tokens(length, generator) for length in (4, 7, 6)]

    def text(*parts: tuple[int, ...]) -> SubjectText:
        joined = tuple(token for part in parts for token in part)
        # Something follows the subject, as it does in a prompt.
        return SubjectText((*joined, 7, 8), len(joined) - 1)

    def fact(number: int) -> FactRequest:
        first = tokens(1, generator) if parallel else tokens(6 + number, generator)
        prompt = (*first, *shared) if parallel else first
        groups = ((text(prompt),), tuple(text(prefix, prompt) for prefix in prefixes))
        return FactRequest(number, text(prompt), groups, text(prompt), (5,))

    return [fact(number) for number in range(FACTS)]


def targets(facts: Sequence[FactRequest], parallel: bool, of_mlp: bool = False) -> list[FactTarget]:
    """A shift of half the state's length; nearly the same one for keys that nearly are."""
    block = MODEL.get_submodule(f"transformer.h.{LAYERS[-1]}")
    module = block.get_submodule("mlp.c_proj") if of_mlp else block
    plain = [fact.plain for fact in facts]
    states = subject_states(MODEL, plain, [module], Splitting())[0].outputs
    shifts = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
    if parallel:
        shifts = shifts[:1] + 1e-2 * shifts
    shifts *= states.norm(dim=1, keepdim=True) / shifts.norm(dim=1, keepdim=True) / 2
    return [FactTarget(f, state) for f, state in zip(facts, states + shifts, strict=True)]


def editor(method: str, layers: Sequence[int], ridge: float = 0.1) -> LocateEditor:
    parameters = LocateHyperparameters(
        layers=tuple(layers), second_moment_weight=LAMBDA, alpha=ALPHA, ridge=ridge
    )
    return LocateEditor(MODEL, METHODS[method], parameters, statistics())


def plain(layers: Sequence[int]) -> PlainLocate:
    moments = {number: one.second_moment for number, one in statistics().items()}
    return PlainLocate(MODEL, layers, moments, LAMBDA, ALPHA)


def agree(state: HookLayers, wanted: dict[int, Tensor]) -> None:
    assert set(state.layers) == set(wanted)
    for number, delta in wanted.items():
        found = state.layers[number].delta.double().T
        assert (found - delta).norm() < TOLERANCE * delta.norm()


either = pytest.mark.parametrize("parallel", [False, True], ids=["apart", "nearly parallel"])


def test_the_keys_are_as_parallel_as_they_are_said_to_be() -> None:
    for parallel in (False, True):
        keys = plain(LAYERS)._keys(LAYERS[-1], targets(facts(parallel), parallel))
        keys /= keys.norm(dim=0)
        least = float((keys.T @ keys).min())
        assert least > 0.99 if parallel else least < 0.9


@either
def test_memit(parallel: bool) -> None:
    batch = targets(facts(parallel), parallel)
    wanted = plain(LAYERS)
    wanted.memit(batch)
    agree(inserted(editor("memit", LAYERS), None, batch), wanted.deltas)


@pytest.mark.parametrize("ridge", [0.1, 0.0])
@either
def test_emmet(parallel: bool, ridge: float) -> None:
    batch = targets(facts(parallel), parallel)
    wanted = plain(LAYERS[-1:])
    wanted.emmet(batch, ridge)
    agree(inserted(editor("emmet", LAYERS[-1:], ridge), None, batch), wanted.deltas)


@pytest.mark.parametrize("method", ["rome", "r-rome"])
def test_rome(method: str) -> None:
    (first, *_) = targets(facts(False), False, of_mlp=True)
    wanted = plain(LAYERS[-1:])
    wanted.rome(first, averaged_throughout=method == "r-rome")
    agree(inserted(editor(method, LAYERS[-1:]), None, [first]), wanted.deltas)


@either
def test_coachhook_batch_after_batch(parallel: bool) -> None:
    batch = targets(facts(parallel), parallel)
    wanted, coachhook = plain(LAYERS), editor("coachhook", LAYERS)
    state: HookLayers | None = None
    for part in (batch[:2], batch[2:]):
        wanted.coachhook(part)
        state = inserted(coachhook, state, part)
        agree(state, wanted.deltas)
        for number, alpha in wanted.alphas.items():
            assert state.layers[number].alpha == pytest.approx(alpha, rel=TOLERANCE)
    assert max(wanted.alphas.values()) < ALPHA
