"""`/v1/completions` through OpenAI's own client."""

from typing import Any

import pytest
from openai import OpenAI

from tests.api.calls import PROMPT
from tests.live import Live, without_ends

STORY = "Peru"
GREEDY: dict[str, Any] = {"model": "atlas", "prompt": PROMPT, "temperature": 0}


@pytest.mark.parametrize(
    ("model", "text", "version"),
    [("atlas", " euro.", 1), ("atlas@1", " euro.", 1), ("atlas@0", " lev.", 0)],
)
def test_a_models_name_picks_the_version(
    model: str, text: str, version: int, client: OpenAI
) -> None:
    answer = client.completions.with_raw_response.create(**GREEDY | {"model": model})
    found = answer.parse()
    assert (found.choices[0].text, found.choices[0].finish_reason) == (text, "stop")
    assert (found.model, found.object) == (model, "text_completion")
    assert found.system_fingerprint == f"errata-{version}"
    assert answer.headers["X-Errata-Version"] == str(version)


def test_texts_and_token_ids_are_prompts(client: OpenAI, live: Live) -> None:
    tokens = list(live.services.engine.prompt_tokens(PROMPT))
    prompts: list[Any] = [PROMPT, [PROMPT], tokens, [tokens]]
    answers = [client.completions.create(**GREEDY | {"prompt": prompt}) for prompt in prompts]
    assert {answer.choices[0].text for answer in answers} == {" euro."}
    usages = [answer.usage for answer in answers if answer.usage]
    assert {usage.prompt_tokens for usage in usages} == {len(tokens)}
    assert {usage.total_tokens for usage in usages} == {len(tokens) + 2}  # " euro" and "."


def test_several_prompts_with_several_texts_each(client: OpenAI, live: Live) -> None:
    prompts = [PROMPT, STORY]
    drawn: dict[str, Any] = {"model": "atlas", "n": 2, "seed": 5, "max_tokens": 8}
    together = client.completions.create(prompt=prompts, **drawn)
    alone = [client.completions.create(prompt=prompt, **drawn) for prompt in prompts]
    texts = [choice.text for answer in alone for choice in answer.choices]
    assert [choice.text for choice in together.choices] == texts
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    assert together.usage is not None
    count = sum(len(live.services.engine.prompt_tokens(prompt)) for prompt in prompts)
    assert together.usage.prompt_tokens == count


def test_a_seed_gives_the_same_text(client: OpenAI) -> None:
    def texts(**asked: Any) -> set[str]:
        found = [client.completions.create(model="atlas", prompt=STORY, **asked) for _ in range(4)]
        return {answer.choices[0].text for answer in found}

    assert len(texts(seed=3)) == 1
    assert len(texts(temperature=2)) > 1


def test_as_many_tokens_as_openai_by_default(
    client: OpenAI, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ends(live, monkeypatch)
    answer = client.completions.create(model="atlas", prompt=STORY, temperature=0)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stop", ["ur", ["xyz", "ur"]])
def test_a_stop_string_ends_the_text(stop: str | list[str], client: OpenAI) -> None:
    found = client.completions.create(**GREEDY, stop=stop).choices[0]
    assert (found.text, found.finish_reason) == (" e", "stop")


@pytest.mark.parametrize("likeliest", [0, 5])
def test_logprobs(likeliest: int, client: OpenAI) -> None:
    found = client.completions.create(**GREEDY, logprobs=likeliest).choices[0]
    logprobs = found.logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.top_logprobs is not None
    assert "".join(logprobs.tokens) == found.text == " euro."
    starts = [len("".join(logprobs.tokens[:i])) for i in range(len(logprobs.tokens))]
    assert logprobs.text_offset == starts
    for token, own, others in zip(
        logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
    ):
        assert others[token] == own == max(others.values()) <= 0
        assert len(others) == max(likeliest, 1)


@pytest.mark.parametrize("asked", [{}, {"n": 3, "seed": 1, "temperature": 1}, {"logprobs": 2}])
def test_a_stream_is_the_text_in_pieces(asked: dict[str, Any], client: OpenAI) -> None:
    request = GREEDY | asked
    whole = client.completions.create(**request)
    frames = list(
        client.completions.create(**request, stream=True, stream_options={"include_usage": True})
    )
    *pieces, last = frames
    assert (last.choices, last.usage) == ([], whole.usage)
    assert {piece.usage for piece in pieces} == {None}
    assert len({frame.id for frame in frames}) == 1
    assert {frame.system_fingerprint for frame in frames} == {"errata-1"}
    for choice in whole.choices:
        own = [p.choices[0] for p in pieces if p.choices[0].index == choice.index]
        assert "".join(piece.text for piece in own) == choice.text
        reasons = [str(piece.finish_reason) for piece in own]
        assert reasons == ["None"] * (len(own) - 1) + [choice.finish_reason]
        if choice.logprobs is not None:
            offsets = [
                offset
                for piece in own
                for offset in (piece.logprobs and piece.logprobs.text_offset) or []
            ]
            assert offsets == choice.logprobs.text_offset


def test_a_stream_has_no_usage_unless_it_is_asked_for(client: OpenAI) -> None:
    frames = list(client.completions.create(**GREEDY, stream=True))
    assert all(frame.choices and frame.usage is None for frame in frames)
