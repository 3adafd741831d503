"""Logits are made of the rows that are asked for, and of no other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from service.editing.accumulation import Accumulation
from service.editing.architectures import ARCHITECTURES, architecture_of
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.samples import sample
from service.engine import scoring
from service.engine.loading import LoadedModel
from service.engine.running import Wanted
from service.engine.scoring import Continuation, next_tokens, score
from tests.editing.test_architectures import FACTS, PROMPTS, REQUESTS, tokens
from tests.engine.asking import say
from tests.engine.test_batches import generator
from tests.models import atlas
from tests.tiny import COMMON, SPECIAL, WIDTH, tiny

RAGGED = [
    Continuation(tokens(prompt, prompt), tokens(target, 50 + target))
    for prompt, target in [(12, 1), (1, 2), (20, 3), (7, 9)]
]


@contextmanager
def rows_of_logits(model: PreTrainedModel) -> Iterator[list[int]]:
    """How many rows each call of the head is given, in the block."""
    counts: list[int] = []

    def count(_head: nn.Module, args: tuple[Tensor, ...]) -> None:
        counts.append(args[0].shape[:-1].numel())

    head = model.get_submodule(architecture_of(model).head)
    handle = head.register_forward_pre_hook(count)
    yield counts
    handle.remove()


def alone(model: PreTrainedModel, one: Continuation) -> Tensor:
    """[n, vocabulary]: log-probabilities for each target token, by the model itself."""
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.tensor([[*one.prompt, *one.target]])).logits[0]
    return logits.float().log_softmax(dim=1)[len(one.prompt) - 1 : -1]


def scored_alike(model: PreTrainedModel, asked: Sequence[Continuation]) -> None:
    """As each text is by the model itself, without padding."""
    for one, found in zip(asked, score(model, None, asked), strict=True):
        wanted = alone(model, one)
        target = torch.tensor(one.target)
        logprob = float(wanted.gather(1, target[:, None]).double().sum())
        assert found.logprob == pytest.approx(logprob, rel=1e-5, abs=1e-5)
        assert found.greedy == bool((wanted.argmax(dim=1) == target).all())
        assert found.tokens == len(one.target)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_scoring_makes_those_of_the_targets_tokens(model_type: str) -> None:
    model = tiny(model_type)
    with rows_of_logits(model) as counts:
        score(model, None, RAGGED)
        first = next_tokens(model, None, [one.prompt for one in RAGGED])
    assert counts == [sum(len(one.target) for one in RAGGED), len(RAGGED)]
    assert first == [int(alone(model, one)[0].argmax()) for one in RAGGED]
    scored_alike(model, RAGGED)


def test_a_projection_before_the_head_is_gone_through() -> None:
    """As OPT 350M has one: hidden states are wider than the head."""
    torch.manual_seed(0)
    narrow = {"word_embed_proj_dim": WIDTH // 2}
    config = AutoConfig.for_model("opt", **COMMON | SPECIAL["opt"] | narrow)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    model.eval().requires_grad_(False)
    with rows_of_logits(model) as counts:
        score(model, None, RAGGED)
    assert counts == [sum(len(one.target) for one in RAGGED)]
    scored_alike(model, RAGGED)


@pytest.mark.parametrize("rows", [1, 4, 15])
def test_scoring_holds_so_many_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("gpt2")
    monkeypatch.setattr(scoring, "ROWS", rows)
    with rows_of_logits(model) as counts:
        scored_alike(model, RAGGED)
    assert max(counts[: -len(RAGGED)]) == rows
    assert next_tokens(model, None, [one.prompt for one in RAGGED]) == [
        int(alone(model, one)[0].argmax()) for one in RAGGED
    ]


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_generation_makes_one_for_each_text_and_pass(model_type: str) -> None:
    model = tiny(model_type)
    served = LoadedModel(model_type, "", model, atlas().tokenizer, 64)
    asked = [Wanted(prompt, None, max_new_tokens=4) for prompt in PROMPTS]
    with rows_of_logits(model) as counts, generator(served, pass_tokens=64) as engine:
        found = say(engine, *asked)
    assert sum(len(one.choices) for one in found) <= sum(counts) <= sum(map(len, PROMPTS))
    assert max(counts) <= len(PROMPTS)
    with rows_of_logits(model) as counts:
        sample(model, 5, count=3, tokens=6, seed=1)
    assert set(counts) == {3}


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_editing_makes_those_that_predict_targets(model_type: str) -> None:
    model = tiny(model_type)
    chosen = hyperparameters_of(model, "grace", {"steps": 2, "radius": 1.0})
    assert isinstance(chosen, GraceHyperparameters)
    with rows_of_logits(model) as counts:
        Grace(model, chosen).targets(None, REQUESTS)
    assert set(counts) == {sum(len(request.given[0].target) for request in REQUESTS)}

    with rows_of_logits(model) as counts:
        unrelated = Accumulation.empty((1,))
        unrelated.add(model, [tokens(40, seed) for seed in range(4)])
    assert counts == []
    editor = LocateEditor(
        model,
        METHODS["memit"],
        LocateHyperparameters(layers=(1,), steps=2),
        unrelated.statistics("random"),
    )
    with rows_of_logits(model) as counts:
        targets, _ = editor.targets(None, FACTS)
    # The contexts' targets, one token each, and an essence of each fact.
    assert set(counts) == {2 * len(FACTS), len(FACTS)}
    with rows_of_logits(model) as counts:
        editor.insert(None, targets)
    assert counts == []
