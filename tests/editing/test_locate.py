"""What locate-and-edit says of edits at fault: each by itself, and nothing is computed twice."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from service.domain.edits import Correction, EditFormat
from service.editing.architectures import down_projection_of, weight_of
from service.editing.editor import AnyEditor
from service.editing.grace import Grace
from service.editing.hyperparameters import hyperparameters_of
from service.editing.key_statistics import KeyStatistics
from service.editing.layerwise import LayerwiseInsertion
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.preset_files import bundled_preset
from service.editing.requests import EditRequest, Phrasing
from service.editing.tokens import prompt_ids
from service.errors import EditingError
from tests.models import atlas, atlas_grace
from tests.phrased import target_ids

NAMES = ("Bulgaria", "Peru", "Chad")


def phrasing(name: str) -> Phrasing:
    prompt = f"The currency of {name} is the"
    tokenizer = atlas().tokenizer
    return Phrasing(prompt_ids(tokenizer, prompt), target_ids(tokenizer, prompt, "euro"))


def correction(name: str, **more: Any) -> Correction:
    prompt = f"The currency of {name} is the"
    return Correction(prompt, "euro", "rome", subject=name, **more)


def editor(name: str, second_moment: float = 1.0) -> LocateEditor:
    model = atlas().model
    found = hyperparameters_of(model, name, bundled_preset("atlas").of(name), {"steps": 2})
    assert isinstance(found, LocateHyperparameters)
    statistics = {}
    for number in found.layers:
        width = weight_of(down_projection_of(model, number)).shape[1]
        keys = torch.randn(16, width, generator=torch.Generator().manual_seed(number))
        statistics[number] = KeyStatistics("test", second_moment * torch.eye(width), keys, 16)
    return LocateEditor(model, METHODS[name], found, statistics)


def requests(made: AnyEditor) -> list[EditRequest]:
    tokenizer = atlas().tokenizer
    return [
        made.request(tokenizer, n, correction(name), [phrasing(name)])
        for n, name in enumerate(NAMES, 1)
    ]


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The edits that gradient steps were made for, in order."""
    seen: list[int] = []
    honest = LocateEditor._optimised

    def watched(self: LocateEditor, state: Any, facts: Sequence[Any]) -> Any:
        seen.extend(fact.edit_id for fact in facts)
        return honest(self, state, facts)

    monkeypatch.setattr(LocateEditor, "_optimised", watched)
    return seen


@pytest.mark.parametrize("name", ["rome", "r-rome"])
def test_an_edit_by_edit_method_returns_those_at_fault(
    name: str, optimised: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = editor(name)
    _, *others = requests(made)
    honest = LayerwiseInsertion._averaged_keys

    def keys(self: LayerwiseInsertion, number: int, facts: Sequence[Any], pin: Any) -> Any:
        found = honest(self, number, facts, pin)
        return found * torch.nan if facts[0].edit_id == 1 else found

    monkeypatch.setattr(LayerwiseInsertion, "_averaged_keys", keys)
    targets, errors = made.targets(None, requests(made))
    assert [(error.edit_id, error.reason) for error in errors] == [(1, "its keys are not finite")]
    assert [target.edit_id for target in targets] == [2, 3]
    assert optimised == [1, 2, 3]
    # The others' targets are those of a batch that never held it.
    without, _ = made.targets(None, others)
    assert all(torch.equal(a.state, b.state) for a, b in zip(targets, without, strict=True))


def test_a_solve_without_a_solution_is_the_fault_of_a_single_edit(optimised: list[int]) -> None:
    made = editor("rome", second_moment=-1.0)
    targets, errors = made.targets(None, requests(made))
    assert targets == []
    assert [error.edit_id for error in errors] == optimised == [1, 2, 3]
    assert all("the solve at layer" in error.reason for error in errors)


def test_a_solve_of_several_without_a_solution_is_the_batchs() -> None:
    made = editor("emmet", second_moment=-1.0)
    targets, errors = made.targets(None, requests(made))
    assert errors == []
    with pytest.raises(ArithmeticError, match=r"the solve at layer \d has no solution"):
        made.insert(None, targets)
    with pytest.raises(EditingError, match="has no solution") as caught:
        made.insert(None, targets[1:2])
    assert caught.value.edit_id == 2


@pytest.mark.parametrize("made", [Grace(atlas().model, atlas_grace()), editor("rome")])
def test_a_chat_template_that_refuses_is_the_edits_fault(
    made: AnyEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = atlas().tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", "{{ raise_exception('not today') }}")
    with pytest.raises(EditingError, match="the model's chat template refuses it: not today"):
        made.request(
            tokenizer,
            1,
            correction("Peru", format=EditFormat.CHAT, neighborhood=("a",)),
            [phrasing("Peru")],
        )
