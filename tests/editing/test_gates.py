"""Gates: which tokens a change acts at, in any batch and over any number of passes."""

from collections.abc import Sequence
from functools import cache

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, weight_of
from service.editing.gates import Gate, Sums, Tokens, z_scores
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooked import Hooked, gated
from service.editing.requests import SubjectText
from service.editing.subject_states import token_inputs
from service.engine.scoring import Continuation, next_tokens, score
from tests.decoding import decode
from tests.tiny import VOCABULARY, WIDTH
from tests.tiny import tiny as new_tiny

LAYER = 0  # what sums are kept by
NAN = float("nan")


def rows(*texts: Sequence[float], left: bool = False) -> tuple[Tensor, Tensor]:
    """Norms [b, t] with large ones as padding, and which are present."""
    width = max(map(len, texts))
    norms, present = torch.full((len(texts), width), 1e6), torch.zeros(len(texts), width).bool()
    for i, text in enumerate(texts):
        at = slice(width - len(text), width) if left else slice(len(text))
        norms[i, at], present[i, at] = torch.tensor(text), True
    return norms, present


def random_norms(length: int, seed: int) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    numbers: list[float] = (torch.rand(length, generator=generator) + 0.5).tolist()
    return numbers


def whole_scores(text: Sequence[float]) -> Tensor:
    """Of a text that is a prompt to its end, by the definition."""
    norms = torch.tensor(text).double()
    differences = norms - norms.mean()
    return differences / ((differences**2).sum() / (len(text) - 1)).sqrt()


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-9, equal_nan=True)


# Scores.


def test_a_score_is_in_unbiased_deviations_from_the_mean() -> None:
    """Mean 3; squares 4, 1, 0 and 9 over three."""
    norms, present = rows([1, 2, 3, 6])
    scores = z_scores(norms, Tokens.whole(present), LAYER)
    deviation = (14 / 3) ** 0.5
    wanted = torch.tensor([[-2, -1, 0, 3]], dtype=torch.float64) / deviation
    close(scores, wanted)
    assert float(scores[0, 3]) == pytest.approx(1.38873, abs=1e-5)


def test_no_score_of_n_tokens_is_above_its_bound() -> None:
    """(n - 1) / sqrt(n), reached where one token has a norm and the others have none."""
    norms, present = rows([0, 0, 0, 5])
    assert float(z_scores(norms, Tokens.whole(present), LAYER).max()) == pytest.approx(1.5)


@pytest.mark.parametrize("left", [False, True])
def test_padding_does_not_count(left: bool) -> None:
    texts = [random_norms(length, length) for length in (4, 9, 2)]
    norms, present = rows(*texts, left=left)
    scores = z_scores(norms, Tokens.whole(present), LAYER)
    for text, found, there in zip(texts, scores, present, strict=True):
        close(found[there], whole_scores(text))


@pytest.mark.parametrize("norms", [[7.0], [7.0, 7.0, 7.0], [0.0, 0.0]])
def test_where_nothing_stands_out_there_is_no_score(norms: list[float]) -> None:
    found = z_scores(*_whole(norms), LAYER)
    close(found, torch.full_like(found, NAN))


def _whole(norms: Sequence[float]) -> tuple[Tensor, Tokens]:
    found, present = rows(norms)
    return found, Tokens.whole(present)


# One pass or many.

PROMPTS = [random_norms(length, length) for length in (5, 1, 8, 2)]
TARGETS = [random_norms(length, 50 + length) for length in (3, 4, 1, 2)]


def one_pass(prompts: list[list[float]], targets: list[list[float]]) -> list[Tensor]:
    norms, present = rows(*([*p, *t] for p, t in zip(prompts, targets, strict=True)))
    first = torch.tensor([len(prompt) - 1 for prompt in prompts])
    queries = present & (torch.arange(norms.shape[1]) >= first[:, None])
    scores = z_scores(norms, Tokens(present, queries, {}), LAYER)
    return [found[there] for found, there in zip(scores, present, strict=True)]


def token_by_token(prompts: list[list[float]], targets: list[list[float]]) -> list[Tensor]:
    norms, present = rows(*prompts, left=True)
    queries = torch.zeros_like(present)
    queries[:, -1] = True
    sums: dict[int, Sums] = {}
    scores = z_scores(norms, Tokens(present, queries, sums), LAYER)
    columns = [[found[there]] for found, there in zip(scores, present, strict=True)]
    for step in range(max(map(len, targets))):
        # Texts that ended go along.
        norms = torch.tensor([[t[step] if step < len(t) else 1e6] for t in targets])
        every = torch.ones_like(norms, dtype=torch.bool)
        scores = z_scores(norms, Tokens(every, every, sums), LAYER)
        for text, found in enumerate(scores):
            if step < len(targets[text]):
                columns[text].append(found)
    return [torch.cat(found) for found in columns]


def test_a_prompt_is_scored_as_a_whole_and_each_later_token_as_the_last_so_far() -> None:
    for prompt, target, found in zip(PROMPTS, TARGETS, one_pass(PROMPTS, TARGETS), strict=True):
        close(found[: len(prompt)], whole_scores(prompt))
        for i in range(len(target)):
            so_far = whole_scores([*prompt, *target[: i + 1]])
            close(found[len(prompt) + i], so_far[-1])


def test_scores_do_not_depend_on_the_number_of_passes() -> None:
    many = token_by_token(PROMPTS, TARGETS)
    for found, wanted in zip(many, one_pass(PROMPTS, TARGETS), strict=True):
        close(found, wanted)


def test_scores_do_not_depend_on_the_batch() -> None:
    for way in (one_pass, token_by_token):
        together = way(PROMPTS, TARGETS)
        for i, found in enumerate(together):
            close(found, way(PROMPTS[i : i + 1], TARGETS[i : i + 1])[0])


def test_layers_have_sums_of_their_own() -> None:
    tokens = Tokens.whole(rows([1, 2, 3])[1])
    for layer, text in ((0, [1, 2, 3]), (4, [10, 20, 60])):
        z_scores(rows(text)[0], tokens, layer)
    assert {n: float(sums.total) for n, sums in tokens.sums.items()} == {0: 6.0, 4: 90.0}
    step = torch.ones(1, 1, dtype=torch.bool)
    found = z_scores(torch.tensor([[30.0]]), Tokens(step, step, tokens.sums), 4)
    close(found[0, 0], whole_scores([10, 20, 60, 30])[-1])


# What a gate lets through.


def fires(gate: Gate, norms: Sequence[float], alpha: float) -> list[bool]:
    """Where a change of those lengths acts; the calibrated gate's mean is 2, its deviation 0.5."""
    update = Update(torch.eye(1), torch.eye(1), torch.eye(1), torch.eye(1))
    layer = HookLayer((update,), alpha, mean=2.0, deviation=0.5)
    inputs = torch.tensor(norms)[None, :, None]
    tokens = Tokens.whole(torch.ones(1, len(norms), dtype=torch.bool))
    outputs = gated(LAYER, layer, gate, inputs, torch.full_like(inputs, 100.0), tokens)
    changes = outputs[0, :, 0] - 100.0
    assert all(c in (0.0, n) for c, n in zip(changes.tolist(), norms, strict=True))
    return (changes != 0).tolist()


def test_each_gate_opens_where_its_score_reaches_alpha() -> None:
    norms = [1, 2, 3, 6]  # in the sequence -0.93, -0.46, 0 and 1.39; calibrated -2, 0, 2 and 8
    assert fires(Gate.ALWAYS, norms, 99.0) == [True] * 4
    assert fires(Gate.SEQUENCE, norms, 1.38) == [False, False, False, True]
    assert fires(Gate.SEQUENCE, norms, 1.39) == [False] * 4
    assert fires(Gate.SEQUENCE, norms, -0.5) == [False, True, True, True]
    assert fires(Gate.CALIBRATED, norms, 2.0) == [False, False, True, True]
    assert fires(Gate.CALIBRATED, norms, 2.1) == [False, False, False, True]


def test_one_token_alone_opens_no_gate_that_needs_a_sequence() -> None:
    assert fires(Gate.SEQUENCE, [9], -99.0) == [False]
    assert fires(Gate.CALIBRATED, [9], -99.0) == [True]
    assert fires(Gate.ALWAYS, [9], 99.0) == [True]


# In a model.

EDITED = (1, 2)
CONTINUED = 8
every_gate = pytest.mark.parametrize("gate", Gate)
every_model = pytest.mark.parametrize("model_type", ["gpt2", "opt", "llama"])


@cache
def tiny(model_type: str) -> PreTrainedModel:
    return new_tiny(model_type)


def tokens_of(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


TEXTS = [tokens_of(length, length) for length in (6, 1, 20, 2, 11)]


def norms_in(model: PreTrainedModel, layer: HookLayer, number: int) -> Tensor:
    """Of the change at the texts' tokens, [k]."""
    texts = [SubjectText(text, 0) for text in TEXTS]
    (found,) = token_inputs(model, texts, [down_projection_of(model, number)])
    norms: Tensor = torch.linalg.vector_norm(found.inputs[found.present] @ layer.delta.T, dim=1)
    return norms


@cache
def overlay(model_type: str, gate: Gate) -> HookLayers:
    """Random changes of two projections, as large as what they change; the gates are open for about
    a third of all tokens.
    """
    model = tiny(model_type)
    generator = torch.Generator().manual_seed(1)
    layers = {}
    for number in EDITED:
        weight = weight_of(down_projection_of(model, number))
        left = torch.randn(WIDTH, 3, generator=generator)
        right = torch.randn(weight.shape[1], 3, generator=generator)
        left *= weight.norm() / (left @ right.T).norm()
        layer = HookLayer((Update(left, right, right, right),), alpha=0.5)
        norms = norms_in(model, layer, number)
        layers[number] = layer.behind(0.5, float(norms.mean()), float(norms.std()))
    return HookLayers(gate, layers)


def said(model_type: str, state: HookLayers | None, *texts: tuple[int, ...]) -> list[list[int]]:
    decoded = decode(tiny(model_type), state, texts, CONTINUED, frozenset())
    return [list(one.tokens) for one in decoded]


@every_gate
@every_model
def test_tokens_do_not_depend_on_the_batch(model_type: str, gate: Gate) -> None:
    state = overlay(model_type, gate)
    together = said(model_type, state, *TEXTS)
    assert together == [said(model_type, state, text)[0] for text in TEXTS]
    assert together == said(model_type, state, *reversed(TEXTS))[::-1]


@every_model
def test_gates_change_what_is_said(model_type: str) -> None:
    every = [said(model_type, overlay(model_type, gate), *TEXTS) for gate in Gate]
    every.append(said(model_type, None, *TEXTS))
    different = [one != other for i, one in enumerate(every) for other in every[i + 1 :]]
    assert all(different)


@every_gate
@every_model
def test_decoding_is_a_full_pass_over_the_text_so_far(model_type: str, gate: Gate) -> None:
    """The prompt decided as a whole, each token after it as the last."""
    state = overlay(model_type, gate)
    for text, continuation in zip(TEXTS, said(model_type, state, *TEXTS), strict=True):
        for i, token in enumerate(continuation):
            ids = torch.tensor([[*text, *continuation[:i]]])
            queries = torch.arange(ids.shape[1])[None] >= len(text) - 1
            tokens = Tokens(torch.ones_like(queries), queries, {})
            with torch.inference_mode(), Hooked.by(tiny(model_type), state).on(tokens):
                logits = tiny(model_type)(input_ids=ids).logits
            assert int(logits[0, -1].argmax()) == token


@every_gate
@every_model
def test_scoring_agrees_with_decoding(model_type: str, gate: Gate) -> None:
    model, state = tiny(model_type), overlay(model_type, gate)
    continuations = said(model_type, state, *TEXTS)
    # Targets of all lengths; the last half of them with another last token.
    pairs = [
        Continuation(text, tuple(tokens[: 1 + i]))
        for i, (text, tokens) in enumerate(zip(TEXTS, continuations, strict=True))
    ]
    wrong = [
        Continuation(pair.prompt, (*pair.target[:-1], (pair.target[-1] + 1) % VOCABULARY))
        for pair in pairs
    ]
    scores = score(model, state, [*pairs, *wrong])
    assert [one.greedy for one in scores] == [True] * 5 + [False] * 5
    for pair, together in zip([*pairs, *wrong], scores, strict=True):
        (alone,) = score(model, state, [pair])
        assert alone.logprob == pytest.approx(together.logprob, abs=1e-4)
    assert next_tokens(model, state, TEXTS) == [tokens[0] for tokens in continuations]


@every_model
def test_a_layer_without_updates_is_the_models_own(model_type: str) -> None:
    nothing = HookLayers(Gate.ALWAYS, {1: HookLayer(alpha=-99.0)})
    assert said(model_type, nothing, *TEXTS) == said(model_type, None, *TEXTS)
