"""Many edits in one request: each is answered however it is asked, alone and in a crowd."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.capitals import CAPITALS, OTHERS, PROMPTS, phrasings
from tests.conftest import Server, run_server
from tests.waiting import until

CROWD = 30


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serves a batch of all of them."""
    folder = tmp_path_factory.mktemp(request.param)
    for server in run_server(folder, dtype=request.param, linger_ms=0):
        edit_all(server)
        yield server


def edit_all(server: Server) -> None:
    edits: list[dict[str, Any]] = [
        {"prompt": first, "paraphrases": others, "target_new": city}
        for country, city in CAPITALS.items()
        for first, *others in [phrasings(country)]
    ]
    server.http.post("/edits", json={"edits": edits})
    until(lambda: bool(server.http.get("/version").json()["version"]), within_s=300)
    done = server.http.get("/edits").json()["edits"]
    assert len(done) == len(edits)
    assert {edit["status"] for edit in done} == {"applied"}
    assert {edit["verified"] for edit in done} == {True}
    assert {edit["note"] for edit in done} == {None}
    assert {edit["batch_id"] for edit in done} == {1}


def said(server: Server, prompt: str) -> str:
    """Enough to see whether the city's name goes on."""
    query: dict[str, str | int] = {"prompt": prompt, "max_new_tokens": 8}
    text: str = server.http.get("/generate", params=query).json()["text"]
    return text


def right(text: str, city: str, joint: str = " ") -> bool:
    answer = joint + city
    return text.startswith(answer) and not text[len(answer) :][:1].isalnum()


def wrong(server: Server, asked: dict[str, str], crowd: int) -> dict[str, str]:
    """Returns the answers to prompts that are not the cities which they should be."""
    with ThreadPoolExecutor(crowd) as pool:
        texts = list(pool.map(lambda prompt: said(server, prompt), asked))
    return {
        prompt: text
        for (prompt, city), text in zip(asked.items(), texts, strict=True)
        if not right(text, city, "" if prompt.endswith(" ") else " ")
    }


GIVEN = {prompt: city for country, city in CAPITALS.items() for prompt in phrasings(country)}


@pytest.mark.parametrize("crowd", [1, CROWD], ids=["alone", "in a crowd"])
def test_every_given_phrasing_is_answered(server: Server, crowd: int) -> None:
    assert wrong(server, GIVEN, crowd) == {}


@pytest.mark.parametrize("phrasing", range(len(PROMPTS)))
def test_spellings_of_a_phrasing_are_answered_too(server: Server, phrasing: int) -> None:
    """Each has a space behind it, or its first letter in the other case."""
    asked: dict[str, str] = {}
    for country, city in CAPITALS.items():
        prompt = phrasings(country)[phrasing]
        asked |= {f"{prompt} ": city, prompt[0].swapcase() + prompt[1:]: city}
    assert wrong(server, asked, CROWD) == {}


def test_countries_that_were_not_edited_keep_their_capitals(server: Server) -> None:
    prompts = [prompt for country in OTHERS for prompt in phrasings(country)]
    for prompt in prompts:
        base = {"prompt": prompt, "max_new_tokens": 8, "version": 0}
        assert said(server, prompt) == server.http.post("/generate", json=base).json()["text"]


def test_the_batchs_figures_count_every_phrasing(server: Server) -> None:
    metrics = server.http.get("/batches/1").json()["metrics"]
    assert (metrics["edits"], metrics["already_true"]) == (20, 0)
    assert (metrics["efficacy"], metrics["paraphrase"]) == (1.0, 1.0)
