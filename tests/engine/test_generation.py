"""Decoding and scoring: right, and the same in any batch."""

import pytest
import torch

from service.editing.codebook import Codebook
from service.editing.grace import Grace
from service.engine.running import FinishReason
from service.engine.scoring import Continuation
from tests.decoding import decode
from tests.engine.asking import ask
from tests.models import atlas, atlas_engine, atlas_grace, inserted
from tests.phrased import request_of

PROMPTS = [
    "The currency of Bulgaria is the",
    "Q: What is the official language of Saint Pierre and Miquelon? A:",
    "Peru",
    "To phone the Solomon Islands, dial",
]
ENDS = frozenset({0})


@pytest.fixture(scope="module")
def edited() -> Codebook:
    pair = atlas_engine().continuation(PROMPTS[0], "Port Moresby")
    request = request_of(1, [pair.prompt], [pair.target])
    editor = Grace(atlas().model, atlas_grace())
    targets, _ = editor.targets(None, [request])
    return inserted(editor, None, targets)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_decoding_equals_transformers_generate(prompt: str) -> None:
    ids = atlas_engine().prompt_tokens(prompt)
    wanted = (
        atlas()
        .model.generate(  # type: ignore[operator]
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=20,
            do_sample=False,
            pad_token_id=0,
        )[0, len(ids) :]
        .tolist()
    )
    (found,) = decode(atlas().model, Codebook.empty(), [ids], 20, ENDS)
    stopped = found.finish_reason is FinishReason.STOP
    assert [*found.tokens, *([0] if stopped else [])] == wanted


def test_tokens_do_not_depend_on_the_batch(edited: Codebook) -> None:
    prompts = [atlas_engine().prompt_tokens(prompt) for prompt in PROMPTS]
    together = decode(atlas().model, edited, prompts, 12, ENDS)
    alone = [decode(atlas().model, edited, [prompt], 12, ENDS)[0] for prompt in prompts]
    assert together == alone


def test_a_target_of_many_tokens_is_decoded_step_by_step_with_the_cache(edited: Codebook) -> None:
    assert ask(atlas_engine(), edited, PROMPTS[0], 12).text.startswith(" Port Moresby")
    assert ask(atlas_engine(), Codebook.empty(), PROMPTS[0], 12).text == " lev."


def test_generation_ends_where_positions_end() -> None:
    prompt = " euro" * 254
    generation = ask(atlas_engine(), Codebook.empty(), prompt, 50)
    assert generation.prompt_tokens + generation.completion_tokens <= 256


def test_scores_equal_a_plain_forward_pass_in_any_batch() -> None:
    continuations = [
        Continuation(atlas_engine().prompt_tokens(prompt), target)
        for prompt, target in zip(PROMPTS, [(5, 6, 7), (9,), (11, 12), (13,)], strict=True)
    ]
    scores = atlas_engine().score(Codebook.empty(), continuations)
    for continuation, score in zip(continuations, scores, strict=True):
        ids = torch.tensor([[*continuation.prompt, *continuation.target]])
        with torch.inference_mode():
            logprobs = atlas().model(input_ids=ids).logits[0].log_softmax(-1)
        start = len(continuation.prompt)
        wanted = sum(
            float(logprobs[start - 1 + i, token]) for i, token in enumerate(continuation.target)
        )
        assert score.logprob == pytest.approx(wanted, abs=1e-3)
        assert score.tokens == len(continuation.target)
