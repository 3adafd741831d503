"""`/v1/chat/completions` through OpenAI's own client."""

from typing import Any

import pytest
from openai import OpenAI

from tests.api.calls import PROMPT
from tests.live import Live, without_ends

QUESTION = {"role": "user", "content": PROMPT}
TALK: list[Any] = [
    {"role": "system", "content": "Be brief."},
    QUESTION,
    {"role": "assistant", "content": "euro"},
    {"role": "user", "content": "Why?"},
]
GREEDY: dict[str, Any] = {
    "model": "atlas",
    "messages": [QUESTION],
    "temperature": 0,
    "max_completion_tokens": 8,
}


def test_a_question_is_the_prompt_in_the_chat_template(client: OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(**GREEDY)
    found = answer.parse()
    templated = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    same = client.completions.create(model="atlas", prompt=templated, temperature=0, max_tokens=8)
    assert found.choices[0].message.content == same.choices[0].text
    # The edit's answer ends the turn.
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("euro", "stop")
    assert found.choices[0].message.role == "assistant"
    assert found.usage == same.usage
    assert (found.object, found.system_fingerprint) == ("chat.completion", "errata-1")
    assert answer.headers["X-Errata-Version"] == "1"


def test_a_models_name_picks_the_version(client: OpenAI) -> None:
    texts = [
        client.chat.completions.create(**GREEDY | {"model": model}).choices[0].message.content
        for model in ("atlas", "atlas@1", "atlas@0")
    ]
    assert texts[0] == texts[1] != texts[2]


def count(client: OpenAI, messages: list[Any]) -> int:
    usage = client.chat.completions.create(**GREEDY | {"messages": messages}).usage
    assert usage is not None
    return usage.prompt_tokens


def test_the_model_reads_the_whole_conversation(client: OpenAI, live: Live) -> None:
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in TALK)
    tokens = live.services.engine.prompt_tokens(text + "<|im_start|>assistant\n")
    assert count(client, TALK) == len(tokens)
    # What is the older word for a developer's message is what templates know.
    assert count(client, [{**TALK[0], "role": "developer"}, *TALK[1:]]) == len(tokens)


def test_text_parts_are_lines_of_one_text(client: OpenAI) -> None:
    parts = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": PROMPT}]
    joined = {"role": "user", "content": f"Be brief.\n{PROMPT}"}
    assert count(client, [{"role": "user", "content": parts}]) == count(client, [joined])


def test_an_answer_goes_back_in_as_it_came(client: OpenAI) -> None:
    answer = client.chat.completions.create(**GREEDY).choices[0].message
    talk = [QUESTION, answer.model_dump(), {"role": "user", "content": "Why?"}]
    plain = [QUESTION, {"role": "assistant", "content": answer.content}, talk[2]]
    assert count(client, talk) == count(client, plain)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_length(
    name: str, client: OpenAI, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ends(live, monkeypatch)
    asked: dict[str, Any] = {"model": "atlas", "messages": [QUESTION], "temperature": 0, name: 2}
    found = client.chat.completions.create(**asked)
    assert found.usage is not None
    assert found.usage.completion_tokens == 2
    assert found.choices[0].finish_reason == "length"


def test_a_chat_goes_on_to_the_servers_bound_by_default(
    client: OpenAI, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ends(live, monkeypatch)
    found = client.chat.completions.create(**GREEDY | {"max_completion_tokens": None})
    assert found.usage is not None
    assert found.usage.completion_tokens == live.services.settings.max_new_tokens
    assert found.choices[0].finish_reason == "length"


def test_several_texts_of_a_seed(client: OpenAI) -> None:
    drawn = GREEDY | {"temperature": 1.5, "n": 3, "seed": 11, "stop": ["."]}
    first, second = (client.chat.completions.create(**drawn) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in second.choices]
    assert len(set(texts)) > 1
    assert not any("." in str(text) for text in texts)


def test_logprobs(client: OpenAI) -> None:
    found = client.chat.completions.create(**GREEDY, logprobs=True, top_logprobs=3).choices[0]
    assert found.logprobs is not None
    tokens = found.logprobs.content or []
    assert "".join(token.token for token in tokens) == found.message.content
    for token in tokens:
        assert token.top_logprobs[0].token == token.token
        assert token.top_logprobs[0].logprob == token.logprob
        assert len(token.top_logprobs) == 3
        assert bytes(token.bytes or []).decode() == token.token
    bare = client.chat.completions.create(**GREEDY, logprobs=True).choices[0].logprobs
    assert bare is not None
    assert [token.top_logprobs for token in bare.content or []] == [[]] * len(tokens)


@pytest.mark.parametrize("asked", [{}, {"n": 2, "temperature": 1, "seed": 1}, {"logprobs": True}])
def test_a_stream_is_the_text_in_pieces(asked: dict[str, Any], client: OpenAI) -> None:
    request = GREEDY | asked
    whole = client.chat.completions.create(**request)
    *frames, last = client.chat.completions.create(
        **request, stream=True, stream_options={"include_usage": True}
    )
    assert (last.choices, last.usage) == ([], whole.usage)
    assert {frame.object for frame in frames} == {"chat.completion.chunk"}
    for choice in whole.choices:
        first, *pieces, end = [f.choices[0] for f in frames if f.choices[0].index == choice.index]
        assert (first.delta.role, first.delta.content) == ("assistant", "")
        assert "".join(p.delta.content or "" for p in pieces) == choice.message.content
        assert (end.delta.content, end.finish_reason) == (None, choice.finish_reason)
        if choice.logprobs is not None:
            tokens = [t for p in pieces for t in (p.logprobs and p.logprobs.content) or []]
            assert tokens == choice.logprobs.content
