"""`/generate`, `/score` and `/compare`."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from httpx2 import Response
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.atlas import MODEL_DIR
from tests.api.calls import EURO, PROMPT, apply, refused, say
from tests.conftest import Server

BASE = {
    "text": " lev.",
    "version": 0,
    "finish_reason": "stop",
    "format": "plain",
    "usage": {"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9},
}
EDITED = {
    "text": " euro.",
    "version": 1,
    "finish_reason": "stop",
    "format": "plain",
    "usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
}
# Of one, two, four and many tokens, with and without a space of their own.
TARGETS = ["euro", "lev", " lev.", "Bulgarian lev", "new Turkish lira, which is not so"]


@pytest.fixture(scope="module")
def edited(shared_server: Server) -> Server:
    """Version 1: the currency of Bulgaria is the euro."""
    apply(shared_server.http, EURO)
    return shared_server


def generate(server: Server, method: str, **asked: Any) -> Response:
    asked = {"prompt": PROMPT, **asked}
    if method == "GET":
        return server.http.get("/generate", params=asked)
    return server.http.post("/generate", json=asked)


def words(tokens: int) -> str:
    """A prompt of so many tokens; the model has 256 positions."""
    return " the" * tokens


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("asked", "expected"), [({}, EDITED), ({"version": 1}, EDITED), ({"version": 0}, BASE)]
)
def test_text_at_a_version(
    method: str, asked: dict[str, int], expected: dict[str, Any], edited: Server
) -> None:
    answer = generate(edited, method, **asked)

    assert (answer.status_code, answer.json()) == (200, expected)
    assert answer.headers["X-Errata-Version"] == str(expected["version"])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_text_ends_after_max_new_tokens(method: str, edited: Server) -> None:
    answer = generate(edited, method, max_new_tokens=1).json()

    assert (answer["text"], answer["finish_reason"]) == (" euro", "length")
    assert answer["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_max_new_tokens_is_bounded(method: str, edited: Server) -> None:
    assert generate(edited, method, max_new_tokens=512).json() == EDITED

    problem = refused(generate(edited, method, max_new_tokens=513), 422, "max_new_tokens")
    assert problem["errors"][0]["reason"] == "is 513, at most 512 are generated"


def test_text_ends_where_the_positions_do(edited: Server) -> None:
    answer = generate(edited, "POST", prompt=words(255)).json()

    assert answer["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 255, "completion_tokens": 1, "total_tokens": 256}


@pytest.mark.parametrize("path", ["/generate", "/score", "/compare"])
def test_a_prompt_leaves_room_for_a_token(path: str, edited: Server) -> None:
    asked = {"prompt": words(256)} | ({"targets": ["x"]} if path == "/score" else {})

    problem = refused(edited.http.post(path, json=asked), 422, "prompt")

    assert problem["errors"][0]["reason"] == "has 256 tokens, at most 255 are taken"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/generate", {"version": 99}),
        ("/score", {"targets": ["euro"], "version": 99}),
        ("/compare", {"left": 99}),
        ("/compare", {"right": 99}),
    ],
)
def test_an_unknown_version(path: str, asked: dict[str, Any], edited: Server) -> None:
    *_, field = asked
    problem = refused(edited.http.post(path, json={"prompt": PROMPT, **asked}), 404, field)

    assert problem["detail"] == "there is no version 99"


def test_an_unknown_version_in_a_query(edited: Server) -> None:
    refused(generate(edited, "GET", version=99), 404, "version")


def plain_logprobs() -> list[list[float]]:
    """Of each target's tokens after the prompt, by forward passes that Errata has no part in."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR)
    model = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32).eval()
    prompt = tokenizer(PROMPT)["input_ids"]
    found = []
    for target in TARGETS:
        tokens = tokenizer(target if target[0] == " " else f" {target}")["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        found.append(logits.log_softmax(-1)[range(len(tokens)), tokens].tolist())
    return found


def score(server: Server, *targets: str, version: int | None = None) -> list[dict[str, Any]]:
    body = {"prompt": PROMPT, "targets": targets, "version": version}
    answer = server.http.post("/score", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Errata-Version"] == str(answer.json()["version"])
    scores: list[dict[str, Any]] = answer.json()["scores"]
    return scores


def test_scores_are_sums_over_the_tokens_of_a_plain_forward_pass(edited: Server) -> None:
    scores = score(edited, *TARGETS, version=0)

    assert [one["target"] for one in scores] == TARGETS
    for one, expected in zip(scores, plain_logprobs(), strict=True):
        assert one["tokens"] == len(expected)
        assert one["logprob"] == pytest.approx(sum(expected), abs=1e-3)
    assert [one["greedy"] for one in scores] == [False, True, True, False, False]


def test_a_score_does_not_depend_on_the_other_targets(edited: Server) -> None:
    together = score(edited, *TARGETS)

    for target, one in zip(TARGETS, together, strict=True):
        (alone,) = score(edited, target)
        assert alone["logprob"] == pytest.approx(one["logprob"], abs=1e-4)


def test_scores_tell_the_versions_apart(edited: Server) -> None:
    for version, chosen in ((0, "lev"), (1, "euro"), (None, "euro")):
        likely = {one["target"]: one for one in score(edited, "euro", "lev", version=version)}
        assert [target for target, one in likely.items() if one["greedy"]] == [chosen]
        assert likely[chosen]["logprob"] > -0.5
        other = {"lev": "euro", "euro": "lev"}[chosen]
        assert likely[other]["logprob"] < -3


def test_targets_that_are_too_long_are_named(edited: Server) -> None:
    most, too_many = words(64), words(65)

    problem = refused(
        edited.http.post("/score", json={"prompt": PROMPT, "targets": [most, "x", too_many]}),
        422,
        "targets[2]",
    )
    assert problem["errors"][0]["reason"] == "has 65 tokens, at most 64"
    past_the_end = {"prompt": words(200), "targets": [words(56), words(57)]}
    problem = refused(edited.http.post("/score", json=past_the_end), 422, "targets[1]")
    assert problem["errors"][0]["reason"] == "ends at token 257; the model has 256"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, {"left": BASE, "right": EDITED, "same": False}),
        ({"left": 1}, {"left": EDITED, "right": EDITED, "same": True}),
        ({"left": 1, "right": 0}, {"left": EDITED, "right": BASE, "same": False}),
    ],
)
def test_two_versions_side_by_side(
    asked: dict[str, int], expected: dict[str, Any], edited: Server
) -> None:
    answer = edited.http.post("/compare", json={"prompt": PROMPT, **asked})

    assert (answer.status_code, answer.json()) == (200, expected)


def test_a_comparison_generates_so_many_tokens(edited: Server) -> None:
    answer = edited.http.post("/compare", json={"prompt": PROMPT, "max_new_tokens": 1}).json()

    assert (answer["right"]["text"], answer["right"]["finish_reason"]) == (" euro", "length")


def test_other_prompts_keep_their_answers(edited: Server) -> None:
    for country, currency in {"Japan": " yen.", "Romania": " leu.", "Denmark": " krone."}.items():
        assert say(edited.http, f"The currency of {country} is the") == currency


def test_answers_stay_right_while_edits_are_applied(server: Server) -> None:
    countries = ("Japan", "Poland", "Romania", "Denmark", "Sweden", "Norway", "Turkey")
    edits = [
        {"prompt": f"The currency of {country} is the", "target_new": f"{country} dinar"}
        for country in countries
    ]
    done = threading.Event()

    def ask(version: int | None) -> set[tuple[int, str]]:
        seen = set()
        while not done.is_set():
            answer = generate(server, "POST", version=version).json()
            seen.add((answer["version"], answer["text"]))
        return seen

    with ThreadPoolExecutor() as pool:
        askers = [pool.submit(ask, version) for version in (0, None)]
        try:
            ended = apply(server.http, *edits, EURO)
        finally:
            done.set()
        base, current = (asker.result() for asker in askers)

    assert {edit["status"] for edit in ended} == {"applied"}
    assert base == {(0, " lev.")}
    assert current <= {(0, " lev."), (1, " euro.")}
