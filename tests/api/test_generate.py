"""How a text is generated: drawn, stopped, several at once, streamed; and what is refused."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from tests.api.calls import EURO, PROMPT, apply, refused
from tests.conftest import Server, run_server

STORY = "Peru"
DRAWN: dict[str, Any] = {"prompt": STORY, "temperature": 1.0, "seed": 7, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def edited(shared_server: Server) -> Server:
    """Version 1: the currency of Bulgaria is the euro."""
    apply(shared_server.http, EURO)
    return shared_server


def generate(server: Server, **asked: Any) -> dict[str, Any]:
    answer = server.http.post("/generate", json={"prompt": PROMPT, **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def stream(server: Server, **asked: Any) -> list[dict[str, Any]]:
    body = {"prompt": PROMPT, "stream": True, **asked}
    with server.http.stream("POST", "/generate", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_seed_gives_the_same_text_whatever_else_is_asked(edited: Server) -> None:
    alone = generate(edited, **DRAWN)
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(generate, edited, **DRAWN | {"seed": n}) for n in range(16)]
        texts = [other.result() for other in others]
    assert texts[7] == alone == generate(edited, **DRAWN)
    assert len({text["text"] for text in texts}) > 8


def test_no_seed_gives_another_text_each_time(edited: Server) -> None:
    asked = DRAWN | {"seed": None, "temperature": 2.0}
    assert len({generate(edited, **asked)["text"] for _ in range(8)}) > 4


def test_several_texts(edited: Server) -> None:
    found = generate(edited, **DRAWN, n=4)
    texts = [choice["text"] for choice in found["choices"]]
    assert len(set(texts)) > 1  # four draws, with a seed each
    # The first has the request's own seed.
    assert generate(edited, **DRAWN)["text"] == texts[0] == found["text"]
    completion = found["usage"]["completion_tokens"]
    assert completion > max(len(text.split()) for text in texts)
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"] + completion


@pytest.mark.parametrize("stop", [" l", ["xyz", "ev"], "lev."])
def test_a_stop_string_ends_the_text(stop: str | list[str], edited: Server) -> None:
    found = generate(edited, version=0, stop=stop)
    expected = {" l": "", "lev.": " "}.get(str(stop), " l")
    assert (found["text"], found["finish_reason"]) == (expected, "stop")


def test_logprobs_stand_beside_the_tokens(edited: Server) -> None:
    found = generate(edited, logprobs=3, version=1)
    tokens = found["logprobs"]
    assert "".join(token["token"] for token in tokens) == found["text"] == " euro."
    for token in tokens:
        assert token["likeliest"][0]["token"] == token["token"]
        assert len(token["likeliest"]) == 3
    score = edited.http.post("/score", json={"prompt": PROMPT, "targets": ["euro."]}).json()
    total = sum(token["logprob"] for token in tokens)
    assert total == pytest.approx(score["scores"][0]["logprob"], abs=1e-4)


def test_a_penalty_keeps_a_text_from_saying_it_again(edited: Server) -> None:
    def repeated(penalty: float) -> int:
        asked = {"prompt": STORY, "max_new_tokens": 8, "logprobs": 0}
        tokens = generate(edited, **asked, repetition_penalty=penalty)["logprobs"]
        return len(tokens) - len({token["token"] for token in tokens})

    assert repeated(0.1) > repeated(9.0) == 0


@pytest.mark.parametrize(
    "asked", [{}, {"version": 0}, DRAWN, {"stop": "."}, {"logprobs": 1}, DRAWN | {"n": 3}]
)
def test_a_stream_is_the_text_in_pieces(asked: dict[str, Any], edited: Server) -> None:
    whole = generate(edited, **asked)
    frames = stream(edited, **asked)
    texts = whole.get("choices") or [whole]
    for index, text in enumerate(texts):
        *pieces, last = [frame for frame in frames if frame["index"] == index]
        assert "".join(piece["text"] for piece in pieces) == text["text"]
        assert last["finish_reason"] == text["finish_reason"]
        logprobs = [token for piece in pieces for token in piece.get("logprobs", [])]
        assert logprobs == text.get("logprobs", [])
        assert not any("finish_reason" in piece for piece in pieces)
    assert {frame["version"] for frame in frames} == {whole["version"]}
    ends = [frame["usage"]["completion_tokens"] for frame in frames if "usage" in frame]
    assert sum(ends) == whole["usage"]["completion_tokens"]


def test_a_question_in_the_address_is_streamed_as_one_in_a_body_is(edited: Server) -> None:
    query: dict[str, Any] = {"prompt": PROMPT, "version": 0, "stream": "true"}
    answer = edited.http.get("/generate", params=query)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    frames = [json.loads(frame.removeprefix("data: ")) for frame in answer.text.split("\n\n")[:-1]]
    assert frames == stream(edited, version=0)


def test_what_is_wrong_with_a_question_is_no_stream(edited: Server) -> None:
    refused(
        edited.http.post("/generate", json={"prompt": PROMPT, "version": 99, "stream": True}),
        404,
        "version",
    )


def failing(monkeypatch: pytest.MonkeyPatch, good: int, bad: int) -> None:
    """So many passes go well, then so many fail."""
    whole, left = ContinuousBatchProcessor._generation_step, iter([True] * good + [False] * bad)

    def step(*given: Any) -> None:
        if not next(left, True):
            raise RuntimeError("a secret of the model")
        whole(*given)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", step)


def test_a_stream_that_fails_midway_says_so(
    edited: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, good=2, bad=1)
    *pieces, last = stream(edited, version=0)
    assert [piece["text"] for piece in pieces] == [" l", "ev"]
    assert last["error"]["status"] == 500
    assert "secret" not in str(last)
    assert generate(edited, version=0)["text"] == " lev."


def test_three_failing_passes_in_a_row_make_the_server_unready(
    edited: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, good=0, bad=3)
    for _ in range(3):
        assert edited.http.get("/health/ready").status_code == 200
        refused(edited.http.post("/generate", json={"prompt": PROMPT}), 500)
    answer = edited.http.get("/health/ready")
    assert answer.status_code == 503
    assert "the last 3 forward passes failed" in answer.json()["reasons"][0]
    assert generate(edited)["text"] == " euro."
    assert edited.http.get("/health/ready").status_code == 200


NOT_NUMBERS: list[Any] = [True, "1", [1], {}]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("temperature", [-0.1, 2.1, 1e400, *NOT_NUMBERS, None]),
        ("top_p", [0, 1.1, -1, *NOT_NUMBERS, None]),
        ("top_k", [-1, 2**63, 1.5, *NOT_NUMBERS, None]),
        ("repetition_penalty", [0, 0.09, 11, *NOT_NUMBERS, None]),
        ("seed", [2**63, -(2**63), 1.5, *NOT_NUMBERS]),
        ("logprobs", [-1, 21, 2**63, *NOT_NUMBERS]),
        ("n", [0, -1, 5, 10**9, *NOT_NUMBERS, None]),
        ("max_new_tokens", [0, -1, 513, 2**63, *NOT_NUMBERS]),
        ("stream", [1, "true", None, []]),
    ],
)
def test_values_out_of_bounds_are_named(field: str, values: list[Any], edited: Server) -> None:
    for value in values:
        content = json.dumps({"prompt": PROMPT, field: value})
        answer = edited.http.post(
            "/generate", content=content, headers={"Content-Type": "application/json"}
        )
        refused(answer, 422, field)


@pytest.mark.parametrize("field", ["temperature", "top_p", "repetition_penalty", "top_k", "n"])
def test_nan_is_no_number(field: str, edited: Server) -> None:
    answer = edited.http.post(
        "/generate",
        content=f'{{"prompt": "Peru", "{field}": NaN}}',
        headers={"Content-Type": "application/json"},
    )
    refused(answer, 422, field)


@pytest.mark.parametrize("stop", [1, True, None, {}, ["x"] * 10_000])
def test_bad_stop_strings_are_named(stop: Any, edited: Server) -> None:
    refused(edited.http.post("/generate", json={"prompt": PROMPT, "stop": stop}), 422, "stop")


@pytest.mark.parametrize("stop", [[1], [""], "", ["x" * 257], "x" * 257, [["x"]]])
def test_a_bad_stop_string_is_counted(stop: Any, edited: Server) -> None:
    refused(edited.http.post("/generate", json={"prompt": PROMPT, "stop": stop}), 422, "stop[0]")


@pytest.fixture
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It takes two texts at once."""
    yield from run_server(tmp_path_factory.mktemp("narrow"), max_generations=2)


def test_more_than_the_queue_takes_are_told_when_to_come_again(narrow: Server) -> None:
    answer = narrow.http.post("/generate", json={"prompt": PROMPT, "n": 3})
    refused(answer, 429)
    assert int(answer.headers["Retry-After"]) >= 1
    assert generate(narrow, n=2)["text"] == " lev."


def test_a_stopped_server_leaves_no_thread(tmp_path: Any) -> None:
    before = set(threading.enumerate())
    for server in run_server(tmp_path):
        assert generate(server)["text"] == " lev."
        assert set(threading.enumerate()) > before
    assert set(threading.enumerate()) <= before
