"""A strict edit reaches all that it asks for and moves nothing, or it is not there."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, run_server
from tests.models import atlas_statistics
from tests.operations.test_apply import apply
from tests.operations.test_hook_layers import FEW, fact
from tests.operations.test_reports import EURO, ROME, SPAIN, chatting  # noqa: F401  # a fixture

ITALY = ROME["prompt"]
MOVED = "the answer to neighborhood[1] changes from ' is Rome.' to ' is Florence.'"


def strict(edit: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**edit, "strict": True, **more}


def said(server: Server, prompt: str) -> str:
    return str(server.http.post("/generate", json={"prompt": prompt}).json()["text"])


def checksums(server: Server) -> list[str]:
    return [one["checksum"] for one in server.http.get("/versions").json()["versions"]]


def test_one_that_holds_all_is_applied(server: Server) -> None:
    (edit,) = apply(server, strict(EURO))
    assert (edit["status"], edit["strict"], edit["verified"]) == ("applied", True, True)


def test_one_that_moves_a_neighbour_leaves_no_trace(server: Server) -> None:
    (edit,) = apply(server, strict(ROME, paraphrases=[]))
    assert (edit["status"], edit["error"]) == ("failed", f"the edit is strict; {MOVED}")
    assert (edit["batch_id"], edit["version"], edit["verified"]) == (None, None, None)
    assert [one["kept"] for one in edit["report"]["neighbors"]] == [True, False]
    assert len(checksums(server)) == 1
    assert [said(server, prompt) for prompt in (ITALY, ROME["neighborhood"][1])] == [
        " Rome.",
        " is Rome.",
    ]

    # Nor does it beside others, which are applied as they would be alone.
    (alone,) = apply(server, EURO)
    server.http.post("/admin/rollback", json={"version": 0, "reason": "a test"})
    refused, mate = apply(server, strict(ROME, paraphrases=[]), EURO)
    assert (refused["status"], mate["status"]) == ("failed", "applied")
    assert (mate["verified"], mate["note"]) == (alone["verified"], alone["note"]) == (True, None)
    assert mate["report"]["neighbors"] == alone["report"]["neighbors"]
    assert server.http.get("/batches/2").json()["edit_ids"] == [mate["id"]]
    assert said(server, ITALY) == " Rome."


def test_one_that_misses_a_phrasing_fails_and_its_mate_stays(server: Server) -> None:
    first, second = apply(server, strict(ROME), SPAIN)
    assert (first["status"], second["status"]) == ("failed", "applied")
    assert first["error"] == f"the edit is strict; paraphrases[0] is not reached; {MOVED}"
    assert [one["reached"] for one in first["report"]["phrasings"]] == [True, False]


def test_one_that_is_true_already_is_held_to_what_its_mates_do(server: Server) -> None:
    true = strict(EURO, target_new="lev", paraphrases=[], neighborhood=[ROME["neighborhood"][1]])
    mover = {**ROME, "paraphrases": [], "neighborhood": []}
    held, mate = apply(server, true, mover)
    assert (held["status"], mate["status"]) == ("failed", "applied")
    assert held["error"].endswith("neighborhood[0] changes from ' is Rome.' to ' is Florence.'")
    # Once none of them falls short itself.
    server.http.post("/admin/rollback", json={"version": 0, "reason": "a test"})
    held, mate = apply(server, true, strict(ROME))
    assert (held["status"], held["note"], mate["status"]) == ("applied", "already true", "failed")
    assert held["report"]["neighbors"][0]["kept"]


def test_one_whose_paraphrase_a_mate_makes_untrue_is_taught(server: Server) -> None:
    true = {
        "prompt": "The largest city of Italy is",
        "target_new": "Rome",
        "paraphrases": ["Italy's capital city is"],
    }
    mover = {**ROME, "paraphrases": [], "neighborhood": []}
    loses, _ = apply(server, true, mover)
    assert (loses["status"], loses["verified"]) == ("applied", False)
    server.http.post("/admin/rollback", json={"version": 0, "reason": "a test"})
    held, _ = apply(server, strict(true), mover)
    assert (held["status"], held["verified"]) == ("applied", True)


@pytest.mark.parametrize(("editor", "more"), [("entity", {}), ("memit", FEW), ("rome", FEW)])
def test_every_family_of_editors(editor: str, more: dict[str, Any], tmp_path: Path) -> None:
    shutil.copytree(atlas_statistics(), tmp_path / "statistics")
    good = fact("Peru")
    bad = strict(fact("Bulgaria"), neighborhood=[good["prompt"]])
    for server in run_server(tmp_path, editor=editor, **more):
        first, second = apply(server, bad, good)
        assert first["status"] == "failed"
        assert "the answer to neighborhood[0] changes from ' sol.' to ' euro" in first["error"]
        assert not first["report"]["neighbors"][0]["kept"]
        assert second["status"] == "applied"
        assert server.http.get("/batches/1").json()["edit_ids"] == [second["id"]]
        server.http.post("/admin/batches/1/rollback", json={"reason": "a test"})
        (alone,) = apply(server, strict(good))
        assert alone["status"] == ("applied" if alone["verified"] else "failed")


def test_one_that_loses_a_form_fails(chatting: Server) -> None:  # noqa: F811
    chat = {**SPAIN, "format": "chat"}
    first, second = apply(chatting, strict(SPAIN, target_new="Malaga"), chat)
    assert (first["status"], second["status"]) == ("failed", "applied")
    assert first["error"] == (
        f"the edit is strict; in the form 'chat', edit {second['id']} of the same batch gives this "
        "prompt another target"
    )
