"""Every editor on a tiny random model of every architecture."""

import pytest
import torch

from service.editing.accumulation import Accumulation
from service.editing.architectures import ARCHITECTURES, check_architecture
from service.editing.codebook import Codebook
from service.editing.gates import Gate
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.requests import FactRequest, SubjectText
from service.engine.scoring import Continuation, score
from service.errors import StartupError
from tests.decoding import decode
from tests.models import inserted
from tests.phrased import request_of
from tests.tiny import VOCABULARY, tiny


def tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


# Prompts shorter and longer than the sliding windows of those that have one.
SHAPES = [(12, 1), (1, 2), (20, 3), (7, 1)]
REQUESTS = [
    request_of(i, [tokens(prompt, i)], [tokens(target, 50 + i)])
    for i, (prompt, target) in enumerate(SHAPES)
]
PROMPTS = [request.phrasings[0].prompt for request in REQUESTS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_batch_of_edits_takes_and_comes_off(model_type: str, dtype: torch.dtype) -> None:
    model = tiny(model_type, dtype)
    ids = torch.tensor([PROMPTS[2]])
    with torch.inference_mode():
        untouched = model(input_ids=ids).logits
    hyperparameters = hyperparameters_of(model, "grace", {"radius": 1.0})
    assert isinstance(hyperparameters, GraceHyperparameters)
    editor = Grace(model, hyperparameters)

    targets, errors = editor.targets(None, REQUESTS)
    codebook = inserted(editor, None, targets)

    assert not errors
    said = decode(model, codebook, PROMPTS, 3, frozenset())
    for request, decoded in zip(REQUESTS, said, strict=True):
        wanted = request.phrasings[0].target
        assert decoded.tokens[: len(wanted)] == wanted
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, untouched)


def subject_text(*parts: tuple[int, ...]) -> SubjectText:
    """The subject ends the text: a random model attends to nothing in particular."""
    joined = tuple(token for part in parts for token in part)
    return SubjectText(joined, len(joined) - 1)


FACTS = [
    request_of(
        i,
        [prompt],
        [target],
        FactRequest(
            i,
            plain=subject_text(prompt),
            contexts=((subject_text(prompt),), (subject_text(tokens(5, 90 + i), prompt),)),
            essence=subject_text(prompt),
            target=target,
        ),
    )
    for i, (prompt, target) in enumerate(
        (tokens(6 + i, 20 + i), tokens(1, 70 + i)) for i in range(3)
    )
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_facts_take_and_come_off(model_type: str, method: str, dtype: torch.dtype) -> None:
    model = tiny(model_type, dtype)
    ids = torch.tensor([FACTS[0].phrasings[0].prompt])
    with torch.inference_mode():
        untouched = model(input_ids=ids).logits
    layers = (1,) if METHODS[method].one_by_one else (0, 1)
    unrelated = Accumulation.empty(layers)
    unrelated.add(model, [tokens(40, seed) for seed in range(100, 120)])
    editor = LocateEditor(
        model,
        METHODS[method],
        LocateHyperparameters(
            layers=layers,
            second_moment_weight=0.1,
            gate=Gate.CALIBRATED,
            quantile=0.0,
            clamp_norm_factor=4.0,
            steps=60,
            kl_factor=0.0,
            weight_decay=0.0,
        ),
        unrelated.statistics("random"),
    )

    targets, errors = editor.targets(None, FACTS)
    hooks = inserted(editor, None, targets)

    assert not errors
    asked = [Continuation(p.prompt, p.target) for fact in FACTS for p in fact.phrasings]
    before, after = score(model, None, asked), score(model, hooks, asked)
    likelier = [b.logprob > a.logprob for a, b in zip(before, after, strict=True)]
    assert all(likelier)
    if ARCHITECTURES[model_type].mlp_norm is None:  # a norm lets only a part through
        assert all(one.greedy for one in after)
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, untouched)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_tokens_do_not_depend_on_the_batch(model_type: str) -> None:
    model = tiny(model_type)
    together = decode(model, Codebook.empty(), PROMPTS, 6, frozenset())
    alone = [decode(model, Codebook.empty(), [p], 6, frozenset())[0] for p in PROMPTS]
    assert together == alone


def test_an_unknown_architecture_is_refused_with_those_known() -> None:
    with pytest.raises(
        StartupError, match=r"type 'bert' can't be edited yet; known: gemma2, .*phi3"
    ):
        check_architecture("bert")
