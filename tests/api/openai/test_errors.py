"""Whatever goes wrong under `/v1`, OpenAI's own client raises what it would of OpenAI."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import httpx
import openai
import pytest
from openai import OpenAI
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from service.domain.keys import Scope
from service.engine.engine import Engine
from service.errors import StoppingError
from tests.api.calls import PROMPT, bearer, openai_error
from tests.api.openai.conftest import client_of
from tests.conftest import ADMIN_KEY
from tests.live import Live

ASKED: dict[str, Any] = {"model": "atlas", "prompt": PROMPT, "temperature": 0}


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False) as http:
        yield http


@pytest.mark.parametrize("key", ["wrong", "errata_"])
def test_a_wrong_key(key: str, live: Live) -> None:
    with client_of(live, key) as stranger, pytest.raises(openai.AuthenticationError) as refusal:
        stranger.completions.create(**ASKED)
    assert refusal.value.code == "invalid_api_key"


def test_every_scope_may_ask(live: Live) -> None:
    live.services.keys.add("reader", Scope.GENERATE, "a-reader")
    with client_of(live, "a-reader") as reader:
        assert reader.completions.create(**ASKED).choices[0].text == " euro."


def test_no_key(live: Live) -> None:
    answer = httpx.get(f"{live.url}/v1/models", trust_env=False)
    assert openai_error(answer, 401)["code"] == "invalid_api_key"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1", 404, "unknown_url"),
        ("POST", "/v1/embeddings", 404, "unknown_url"),
        ("GET", "/v1/completions", 405, None),
        ("DELETE", "/v1/models/atlas", 405, None),
    ],
)
def test_what_is_not_served(
    method: str, path: str, status: int, code: str | None, http: httpx.Client
) -> None:
    facts = openai_error(http.request(method, path), status)
    assert (facts["type"], facts["code"]) == ("invalid_request_error", code)


def test_a_path_that_only_looks_alike_answers_as_all_others(http: httpx.Client) -> None:
    answer = http.get("/v1x")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_body_that_is_too_large(http: httpx.Client) -> None:
    answer = http.post("/v1/completions", content=b" " * (1 << 20) + b"{}")
    assert "at most 1048576 bytes" in openai_error(answer, 413)["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b'{"a": "\xff"}', b"7"])
def test_a_body_that_is_no_json_object(content: bytes, http: httpx.Client) -> None:
    answer = http.post(
        "/v1/completions", content=content, headers={"Content-Type": "application/json"}
    )
    assert openai_error(answer, 400)["param"] == "body"


def test_too_many_texts_at_once(client: OpenAI) -> None:
    """The server takes 16."""
    with pytest.raises(openai.RateLimitError) as refusal:
        client.completions.create(**ASKED | {"prompt": [PROMPT] * 5, "n": 4})
    assert refusal.value.code == "rate_limit_exceeded"
    assert refusal.value.type == "rate_limit_error"
    assert int(refusal.value.response.headers["Retry-After"]) >= 1


def test_a_crash_keeps_its_reason_to_the_log(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_after(monkeypatch, passes=0)
    with pytest.raises(openai.InternalServerError) as refusal:
        client.completions.create(**ASKED)
    assert refusal.value.type == "server_error"
    assert "secret" not in refusal.value.message


def test_a_server_that_stops(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> NoReturn:
        raise StoppingError

    monkeypatch.setattr(Engine, "submit", stop)
    with pytest.raises(openai.InternalServerError) as refusal:
        client.completions.create(**ASKED)
    assert (refusal.value.status_code, refusal.value.type) == (503, "server_error")


def fail_after(monkeypatch: pytest.MonkeyPatch, passes: int) -> None:
    whole, left = ContinuousBatchProcessor._generation_step, iter(range(passes))

    def step(*given: Any) -> None:
        if next(left, None) is None:
            raise RuntimeError("a secret of the model")
        whole(*given)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", step)


def test_a_stream_that_fails_midway(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_after(monkeypatch, passes=1)
    frames = client.completions.create(**ASKED, stream=True)
    assert next(frames).choices[0].text == " euro"
    with pytest.raises(openai.APIError, match="the server failed; its log has the reason"):
        next(frames)


def test_the_frames_of_a_stream(http: httpx.Client) -> None:
    answer = http.post("/v1/completions", json={**ASKED, "stream": True})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["X-Errata-Version"] == "1"
    *frames, end, rest = answer.text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    texts = [json.loads(frame.removeprefix("data: "))["choices"][0]["text"] for frame in frames]
    assert "".join(texts) == " euro."
