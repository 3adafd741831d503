"""Parts of a batch: how they are cut, and that results do not depend on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from service.editing.accumulation import Accumulation
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.requests import FactRequest, SubjectText
from service.editing.splitting import Splitting
from tests.models import inserted
from tests.phrased import request_of
from tests.tiny import VOCABULARY, tiny

R = TypeVar("R")


def out_of_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def out_of_cpu_memory() -> None:
    torch.empty(1 << 50)  # four pebibytes


@dataclass
class Runs:
    """Parts that were tried; those of more than `most` items fail."""

    most: int = 1_000
    fail: Callable[[], None] = out_of_gpu_memory
    tried: list[list[int]] = field(default_factory=list)

    def __call__(self, part: list[int]) -> list[int]:
        self.tried.append(part)
        if len(part) > self.most:
            self.fail()
        return part


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([3], [[0]]),
        ([10], [[0]]),
        ([11], [[0]]),  # too large for any part: alone
        ([5, 5], [[0, 1]]),
        ([5, 6], [[0], [1]]),  # padded to 6 each
        ([3, 3, 5, 1, 1], [[0, 1], [2, 3], [4]]),
        ([1] * 12, [[*range(10)], [10, 11]]),
        ([1, 11, 1, 1], [[0], [1], [2, 3]]),
        ([9, 1, 1, 1], [[0], [1, 2, 3]]),
    ],
)
def test_parts_are_consecutive_and_count_their_padding(
    sizes: list[int], parts: list[list[int]]
) -> None:
    runs = Runs()
    assert Splitting(10).over(sizes, runs) == parts
    assert runs.tried == parts


@pytest.mark.parametrize("fail", [out_of_gpu_memory, out_of_cpu_memory])
def test_a_part_that_runs_out_of_memory_is_halved_and_so_are_all_that_follow(
    fail: Callable[[], None],
) -> None:
    splitting = Splitting()
    runs = Runs(most=2, fail=fail)
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert splitting.over([4] * 8, runs) == pairs
    assert runs.tried == [[*range(8)], [0, 1, 2, 3], *pairs]
    runs.tried.clear()
    assert splitting.over([4] * 4, runs) == pairs[:2]
    assert runs.tried == pairs[:2]


def test_halving_ends_at_one_item_however_unequal_they_are() -> None:
    runs = Runs(most=1)
    assert Splitting(4_096).over([1_000, 1, 1], runs) == [[0], [1], [2]]
    assert runs.tried == [[0, 1, 2], [0], [1, 2], [1], [2]]


def test_what_was_done_before_memory_ran_out_is_not_done_again() -> None:
    runs = Runs(most=2)
    assert Splitting(12).over([6, 6, 1, 1, 1, 1], runs) == [[0, 1], [2, 3], [4, 5]]
    assert runs.tried == [[0, 1], [2, 3, 4, 5], [2, 3], [4, 5]]


def test_one_item_that_runs_out_of_memory_is_an_error() -> None:
    runs = Runs(most=0)
    with pytest.raises(torch.OutOfMemoryError):
        Splitting().over([4, 4], runs)
    assert runs.tried == [[0, 1], [0]]


def test_any_other_error_is_raised_at_once() -> None:
    def fail() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    runs = Runs(most=0, fail=fail)
    with pytest.raises(RuntimeError, match="shapes"):
        Splitting().over([4, 4], runs)
    assert runs.tried == [[0, 1]]


class Scarce(Splitting):
    """Whatever is split, memory ends when a part is all but done, unless it is of one item."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: dict[str, list[int]] = {}  # sizes of parts, by what was done

    def over(self, sizes: Sequence[int], run: Callable[[list[int]], R]) -> list[R]:
        def scarce(part: list[int]) -> R:
            result = run(part)
            if len(part) > 1:
                self.failed.setdefault(run.__name__, []).append(len(part))
                out_of_gpu_memory()
            return result

        return Splitting().over(sizes, scarce)


def tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


# The prompt's tokens, the subject's, where it stands before and the target's: of each edit.
SHAPES = [(12, 4, (1,), 1), (3, 0, (), 2), (20, 18, (3, 9), 3), (7, 3, (), 1)]


def fact(number: int) -> FactRequest:
    prompt, subject, earlier, target = SHAPES[number]
    plain = SubjectText(tokens(prompt, number), subject, earlier)
    before = tokens(5, 90)
    context = SubjectText(
        (*before, *plain.tokens),
        len(before) + subject,
        tuple(len(before) + place for place in earlier),
    )
    essence = SubjectText(tokens(4, 30 + number), 1)
    groups = ((plain,), (context,))
    return FactRequest(number, plain, groups, essence, tokens(target, 50 + number))


FACTS = [fact(number) for number in range(len(SHAPES))]
REQUESTS = [
    request_of(f.edit_id, [f.plain.tokens, tokens(9, 70 + f.edit_id)], [f.target] * 2, f)
    for f in FACTS
]
GRACE = GraceHyperparameters(layer=2, module="mlp", radius=1.0, steps=5)


def editor_of(name: str, splitting: Splitting) -> Grace | LocateEditor:
    model = tiny("gpt2")
    if name == "grace":
        return Grace(model, GRACE, splitting=splitting)
    layers = (2,) if METHODS[name].one_by_one else (1, 2)
    accumulation = Accumulation.empty(layers)
    accumulation.add(model, [tokens(40, seed) for seed in range(8)])
    parameters = LocateHyperparameters(layers=layers, second_moment_weight=10.0, steps=6)
    statistics = accumulation.statistics("random tokens")
    return LocateEditor(model, METHODS[name], parameters, statistics, splitting=splitting)


def numbers_of(name: str, splitting: Splitting) -> list[Tensor]:
    """All that an editor finds for the requests, and does with them."""
    editor = editor_of(name, splitting)
    if isinstance(editor, Grace):
        values, errors = editor.targets(None, REQUESTS)
        found = [tensor for one in values for tensor in (one.keys, one.values)]
        edits = [one.edit_id for one in values]
    else:
        states, errors = editor.targets(None, REQUESTS)
        overlay = inserted(editor, None, states)
        deltas = [layer.delta for layer in overlay.layers.values()]
        alphas = torch.tensor([layer.alpha for layer in overlay.layers.values()])
        found = [*(one.state for one in states), *deltas, alphas]
        edits = [one.edit_id for one in states]
    assert not errors
    assert edits == [0, 1, 2, 3]
    return found


@pytest.mark.parametrize("name", ["grace", "coachhook", "rome"])
@pytest.mark.parametrize("most", [1, 40])
def test_what_an_editor_finds_does_not_depend_on_the_parts(name: str, most: int) -> None:
    together = numbers_of(name, Splitting(100_000))
    apart = numbers_of(name, Splitting(most))
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["grace", "coachhook"])
def test_a_part_that_ran_out_of_memory_leaves_nothing_behind(name: str) -> None:
    scarce = Scarce()
    after = numbers_of(name, scarce)
    assert scarce.failed["optimise"][0] == 4
    for one, other in zip(after, numbers_of(name, Splitting(1)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
