"""Parameters of `/v1`: what is refused, and by what name; what is taken and changes nothing."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from service.api.openai.chat import ChatIn
from tests.api.calls import PROMPT, bearer
from tests.conftest import ADMIN_KEY
from tests.live import Live

COMPLETION: dict[str, Any] = {"model": "atlas", "prompt": PROMPT, "temperature": 0}
CHAT: dict[str, Any] = {
    "model": "atlas",
    "messages": [{"role": "user", "content": PROMPT}],
    "temperature": 0,
    "max_tokens": 4,
}
BODIES = {"completions": COMPLETION, "chat/completions": CHAT}
both = pytest.mark.parametrize("path", BODIES)


class Asked:
    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def answer(self, path: str, **changes: Any) -> httpx.Response:
        body = {k: v for k, v in {**BODIES[path], **changes}.items() if v is not ...}
        headers = {"Content-Type": "application/json"}
        # Python writes NaN and Infinity as they are.
        return self._http.post(f"/v1/{path}", content=json.dumps(body), headers=headers)

    def text(self, path: str, **changes: Any) -> Any:
        answer = self.answer(path, **changes)
        assert answer.status_code == 200, (changes, answer.text)
        choice = answer.json()["choices"][0]
        return choice.get("text") or choice["message"]["content"]

    def refusal(self, path: str, parameter: str, **changes: Any) -> str:
        """The message of a refusal that names `parameter`."""
        answer = self.answer(path, **changes)
        assert answer.status_code == 400, (changes, answer.text)
        facts = answer.json()["error"]
        assert facts["type"] == "invalid_request_error"
        assert (facts["param"], facts["code"]) == (parameter, None), answer.text
        assert parameter in facts["message"]
        return str(facts["message"])


@pytest.fixture(scope="module")
def asked(live: Live) -> Iterator[Asked]:
    with httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False) as http:
        asked = Asked(http)
        yield asked
        assert asked.text("completions") == " euro."  # unharmed


NAN, INFINITY, HUGE = float("nan"), float("inf"), 2**63
NOT_NUMBERS: list[Any] = [True, "1", [1], {}, NAN, INFINITY]
NUMBERS: dict[str, list[Any]] = {
    "temperature": [-0.1, 2.1, HUGE],
    "top_p": [0, 1.1, HUGE],
    "n": [0, -1, 5, 1.5, 10**9, HUGE],
    "seed": [HUGE, -HUGE, 1.5],
    "max_tokens": [0, -1, 1.5, 65, HUGE],
    "frequency_penalty": [1, -2.0, 1e-9, HUGE],
    "presence_penalty": [1, -2.0, 1e-9, HUGE],
}


@both
@pytest.mark.parametrize("parameter", NUMBERS)
def test_numbers(path: str, parameter: str, asked: Asked) -> None:
    for value in [*NUMBERS[parameter], *NOT_NUMBERS]:
        asked.refusal(path, parameter, **{parameter: value})


@pytest.mark.parametrize(
    ("path", "parameter", "values"),
    [
        ("completions", "logprobs", [-1, 6, 1.5, HUGE, *NOT_NUMBERS]),
        ("chat/completions", "logprobs", [0, 1, "true", NAN]),
        ("chat/completions", "max_completion_tokens", [0, 65, HUGE, *NOT_NUMBERS]),
    ],
)
def test_other_numbers(path: str, parameter: str, values: list[Any], asked: Asked) -> None:
    for value in values:
        asked.refusal(path, parameter, max_tokens=..., **{parameter: value})


def test_what_needs_another_parameter(asked: Asked) -> None:
    chat = "chat/completions"
    for value in [-1, 21, HUGE, *NOT_NUMBERS]:
        asked.refusal(chat, "top_logprobs", logprobs=True, top_logprobs=value)
    asked.refusal(chat, "top_logprobs", top_logprobs=1)
    asked.refusal(chat, "max_completion_tokens", max_tokens=1, max_completion_tokens=1)
    asked.refusal(chat, "stream_options", stream_options={"include_usage": True})
    wrong: list[Any] = [{"include_usage": 1}, {"include": True}, [], True]
    for options in wrong:
        asked.refusal(chat, "stream_options", stream=True, stream_options=options)


@both
@pytest.mark.parametrize(
    "stop", [1, True, {}, [1], [None], "", [""], ["x"] * 17, ["x"] * 10_000, "x" * 257, [["x"]]]
)
def test_stop_strings(path: str, stop: Any, asked: Asked) -> None:
    asked.refusal(path, "stop", stop=stop)


@both
@pytest.mark.parametrize("value", [1, "true", [], NAN])
def test_stream(path: str, value: Any, asked: Asked) -> None:
    asked.refusal(path, "stream", stream=value)


TOKEN = 5
LONG_LIST = [TOKEN] * 5_000


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (None, "valid string"),
        (..., "Field required"),
        ("", "more than white space"),
        (" \n", "more than white space"),
        ("a\0", "NUL"),
        ("\ud800", "unicode"),
        ("a" * 65_537, "at most 65536"),
        (1, "valid string"),
        (True, "valid string"),
        ({}, "valid string"),
        ([], "at least 1"),
        ([[]], "at least 1"),
        ([""], "more than white space"),
        (["Peru", 1], "valid string"),
        (["Peru"] * 65, "at most 64"),
        ([-1], "greater than or equal"),
        ([TOKEN, 1.0], "valid integer"),
        ([TOKEN, True], "valid integer"),
        ([TOKEN, NAN], "valid integer"),
        ([TOKEN, "Peru"], "valid integer"),
        ([[TOKEN], [10**9]], "has token 1000000000"),
        ([HUGE], f"has token {HUGE}"),
        (LONG_LIST, "has 5000 tokens, at most"),
        ([[LONG_LIST]], "valid integer"),
    ],
    ids=repr,
)
def test_prompts(prompt: Any, reason: str, asked: Asked) -> None:
    assert reason in asked.refusal("completions", "prompt", prompt=prompt)


def test_the_vocabulary_ends_where_the_models_does(asked: Asked, live: Live) -> None:
    size = live.services.engine.loaded.vocabulary
    message = asked.refusal("completions", "prompt", prompt=[size])
    assert f"the model's are 0 to {size - 1}" in message
    assert isinstance(asked.text("completions", prompt=[size - 1], temperature=1), str)


def said(content: Any, role: Any = "user", **more: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": content, **more}]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "valid list"),
        (..., "Field required"),
        ([], "at least 1"),
        ({}, "valid list"),
        ("Peru", "valid list"),
        ([1], "messages[0]"),
        ([{"role": "user"}], "messages[0].content: Field required"),
        ([{"content": "Peru"}], "messages[0].role: Field required"),
        (said(None), "must be a text, or a list of text parts"),
        (said(1), "must be a text, or a list of text parts"),
        (said([]), "at least 1"),
        (said("a\0"), "NUL"),
        (said("\ud800"), "unicode"),
        (said("a" * 65_537), "at most 65536"),
        (said("word " * 5_000), "tokens, at most"),
        (said([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url"),
        (said([{"type": "text"}]), "messages[0].content[0].text: Field required"),
        (said("Peru", role="tool"), "messages[0].role"),
        (said("Peru", role=["user"]), "messages[0].role"),
        (said("Peru", tool_calls=[{}]), "messages[0].tool_calls: is not supported"),
        (said("Peru", mood="good"), "messages[0].mood"),
        (said("Peru") * 1_025, "at most 1024"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_messages(messages: Any, reason: str, asked: Asked) -> None:
    assert reason in asked.refusal("chat/completions", "messages", messages=messages)


def test_of_a_crowd_of_faults_the_first_is_told() -> None:
    """A body has room for hundreds of thousands, and each would be written down."""
    talk = [{"role": "user", "content": [{}] * 100}] * 100
    with pytest.raises(ValidationError) as refusal:
        ChatIn.model_validate({"model": "atlas", "messages": talk})
    assert refusal.value.error_count() == 2  # a part has neither type nor text


def test_what_the_template_refuses(
    asked: Asked, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = live.services.engine.loaded.tokenizer
    monkeypatch.setattr(
        tokenizer, "chat_template", "{{ raise_exception('no system messages here') }}"
    )
    message = asked.refusal("chat/completions", "messages")
    assert "no system messages here" in message
    monkeypatch.setattr(tokenizer, "chat_template", "{{ 1 / 0 }}")
    assert "ZeroDivisionError" in asked.refusal("chat/completions", "messages")
    monkeypatch.setattr(tokenizer, "chat_template", None)
    assert "no chat template" in asked.refusal("chat/completions", "messages")


@both
@pytest.mark.parametrize("model", [None, ..., 1, True, [], {}, "\ud800", "a" * 5_000])
def test_models(path: str, model: Any, asked: Asked) -> None:
    asked.refusal(path, "model", model=model)


@both
@pytest.mark.parametrize("name", ["chat_template", "top_k", "max_new_tokens", "version"])
def test_what_nobody_knows(path: str, name: str, asked: Asked) -> None:
    message = asked.refusal(path, name, **{name: 1})
    assert message == f"Unrecognized request argument supplied: {name}"


TOOL = {"type": "function", "function": {"name": "f"}}
NOT_DONE: dict[str, dict[str, list[Any]]] = {
    "completions": {
        "echo": [True, 0],
        "suffix": ["x"],
        "best_of": [2, True],
        "logit_bias": [{"5": 1}],
    },
    "chat/completions": {
        "tools": [[TOOL], {}],
        "tool_choice": ["required", {}],
        "functions": [[{}]],
        "response_format": [{"type": "json_object"}, "text"],
        "logit_bias": [{"5": 1}, []],
        "store": [True, 0],
        "modalities": [["audio"]],
        "audio": [{}],
        "reasoning_effort": ["high"],
        "service_tier": ["flex"],
        "web_search_options": [{}],
        "prediction": [{}],
        "verbosity": ["low"],
    },
}


@pytest.mark.parametrize(
    ("path", "parameter"), [(path, name) for path, names in NOT_DONE.items() for name in names]
)
def test_what_openai_does_and_errata_does_not(path: str, parameter: str, asked: Asked) -> None:
    for value in NOT_DONE[path][parameter]:
        message = asked.refusal(path, parameter, **{parameter: value})
        assert message.startswith(f"{parameter}: is not supported; it may be null")


NOTHING: dict[str, dict[str, Any]] = {
    "completions": {
        "user": "someone",
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "echo": False,
        "best_of": 1,
        "suffix": None,
        "stop": [],
        "stream": False,
    },
    "chat/completions": {
        "user": "someone",
        "presence_penalty": 0,
        "tools": None,
        "metadata": {"a": "b"},
        "store": False,
        "response_format": {"type": "text"},
        "parallel_tool_calls": True,
        "tool_choice": "none",
        "logprobs": False,
        "service_tier": "auto",
        "safety_identifier": "x",
    },
}


@both
def test_what_asks_for_nothing_changes_nothing(path: str, asked: Asked) -> None:
    plain = asked.text(path)
    assert asked.text(path, **NOTHING[path]) == plain
    given = [*NOTHING[path], *NUMBERS, *NOT_DONE[path]]
    nulls = {name: None for name in given if name not in ("temperature", "max_tokens")}
    assert asked.text(path, **nulls) == plain
