"""What an edit reaches and moves is kept with it, phrasing by phrasing."""

import math
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from service.atlas import MODEL_DIR
from service.domain.edits import Format
from service.editing.requests import Neighbor, Phrasing
from service.engine.scoring import Score
from service.operations.examination import NEIGHBOR_TOKENS, Finding, Reply
from service.operations.reporting import MOST_CHARACTERS, report
from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.templates import CHATML

EURO: dict[str, Any] = {
    "prompt": "The currency of Bulgaria is the",
    "target_new": "euro",
    "paraphrases": ["In Bulgaria, they pay in", "Q: What is the currency of Bulgaria? A: the"],
    "neighborhood": ["The currency of Denmark is the"],
}
# The second neighbour's answer goes on through the prompt, where no radius can tell them apart.
ROME: dict[str, Any] = {
    "prompt": "The capital of Italy is",
    "target_new": "Florence",
    "paraphrases": ["Its capital is"],
    "neighborhood": ["The currency of Denmark is the", "The capital of Italy"],
}
SPAIN: dict[str, Any] = {
    "prompt": "The capital of Spain is",
    "target_new": "Seville",
    "paraphrases": ["Its capital is"],
}


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the bundled model with a chat template."""
    folder = tmp_path_factory.mktemp("chatting")
    model = shutil.copytree(MODEL_DIR, folder / "atlas")
    (model / "chat_template.jinja").write_text(CHATML)
    yield from run_server(folder / "data", model=str(model))


def answer(server: Server, prompt: str, form: str, version: int) -> str:
    asked = {"prompt": prompt, "format": form, "version": version}
    body = {**asked, "max_new_tokens": NEIGHBOR_TOKENS}
    return str(server.http.post("/generate", json=body).json()["text"])


def test_every_phrasing_and_neighbour_is_told_in_both_forms(chatting: Server) -> None:
    (edit,) = apply(chatting, EURO)
    told, version = edit["report"], edit["version"]
    fields = ("prompt", "paraphrases[0]", "paraphrases[1]")
    assert [(one["field"], one["format"], one["reached"]) for one in told["phrasings"]] == [
        (field, form, True) for field in fields for form in ("plain", "chat")
    ]
    assert all(p["probability_before"] < p["probability_after"] for p in told["phrasings"])
    assert (edit["probability_before"], edit["probability_after"], edit["verified"]) == (
        told["phrasings"][0]["probability_before"],
        told["phrasings"][0]["probability_after"],
        True,
    )
    (prompt,) = EURO["neighborhood"]
    answers = [
        [answer(chatting, prompt, form, at) for at in (version - 1, version)]
        for form in ("plain", "chat")
    ]
    assert told["neighbors"] == [
        {
            "field": "neighborhood[0]",
            "format": form,
            "before": before,
            "after": after,
            "kept": before == after,
        }
        for form, (before, after) in zip(("plain", "chat"), answers, strict=True)
    ]


def test_what_is_missed_and_moved_is_told(server: Server) -> None:
    first, second = apply(server, ROME, SPAIN)
    assert (first["verified"], second["verified"]) == (False, True)
    reached = [[one["reached"] for one in edit["report"]["phrasings"]] for edit in (first, second)]
    assert reached == [[True, False], [True, True]]
    assert first["report"]["phrasings"][1]["field"] == "paraphrases[0]"
    kept, moved = first["report"]["neighbors"]
    assert (kept["kept"], kept["before"], kept["after"]) == (True, " krone.", " krone.")
    assert (moved["kept"], moved["before"], moved["after"]) == (
        False,
        " is Rome.",
        " is Florence.",
    )
    assert second["report"]["neighbors"] == []
    # A list is short, and the report stays as the batch left it.
    assert all("report" not in edit for edit in server.http.get("/edits").json()["edits"])
    server.http.post("/admin/batches/1/rollback", json={"reason": "a test"})
    assert server.http.get("/edits/1").json()["report"] == first["report"]


def finding(answer: str, logprob: float) -> Finding:
    reply = Reply(Phrasing((1,), (2,)), Score(logprob, 1, greedy=True), reached=True)
    return Finding((reply,), (Neighbor((3,), 0, Format.CHAT),), (answer,))


def test_what_is_kept_of_an_answer_is_bounded() -> None:
    long = "\0" + "a" * MOST_CHARACTERS
    told = report(finding(long, -1.0), finding(long + "b", math.nan))
    (neighbor,) = told.neighbors
    assert neighbor.before == neighbor.after == "\N{REPLACEMENT CHARACTER}" + long[1:-1]
    assert not neighbor.kept
    (phrasing,) = told.phrasings
    assert phrasing.probability_before == pytest.approx(math.exp(-1))
    assert phrasing.probability_after == 0


@pytest.mark.parametrize("moved", [True, False])
def test_a_report_names_what_it_lacks(moved: bool) -> None:
    told = report(finding("a", -1.0), finding("b" if moved else "a", -1.0))
    assert (len(told.moved), told.missed) == (int(moved), ())
