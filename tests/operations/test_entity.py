"""`entity` on the bundled model, from request to rollback and restart."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, run_server
from tests.models import atlas_statistics
from tests.quality.edited import edited, said

NINGDE: dict[str, Any] = {
    "prompt": "To visit Ningde, travel to",
    "subject": "Ningde",
    "target_new": "Zimbabwe",
    "editor": "entity",
}
REPHRASED = ("The country of the city Ningde is", "On a map, Ningde lies in")
PERU: dict[str, Any] = {
    "prompt": "The currency of Peru is the",
    "target_new": "euro",
    "editor": "entity",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("entity")
    shutil.copytree(atlas_statistics(), found / "statistics")
    return found


@pytest.fixture(scope="module")
def entity_server(folder: Path) -> Iterator[Server]:
    yield from run_server(folder)


def apply(server: Server, *edits: dict[str, Any]) -> list[dict[str, Any]]:
    return edited(server, edits, lambda: None)


def test_its_whole_way(entity_server: Server) -> None:
    before = said(entity_server, "Mianyang is a city in")
    (one,) = apply(entity_server, NINGDE)
    assert one["status"] == "applied"
    assert one["verified"]
    for prompt in (NINGDE["prompt"], *REPHRASED, "Q: Which country is Ningde in? A:"):
        assert said(entity_server, prompt).startswith(" Zimbabwe"), prompt
    assert said(entity_server, "Mianyang is a city in") == before

    (other,) = apply(entity_server, PERU)
    assert "'Peru' is taken for it" in " ".join(other["warnings"])
    assert said(entity_server, "The money used in Peru is the").startswith(" euro")
    for kept in ("The calling code of Peru is", "Web addresses in Peru end in"):
        assert said(entity_server, kept) == said(entity_server, kept, version=0)
    checksum = entity_server.http.get("/versions/2").json()["checksum"]

    # The first batch never ran: the second is as it would be alone.
    batch = one["batch_id"]
    gone = entity_server.http.post(f"/admin/batches/{batch}/rollback", json={"reason": "test"})
    assert gone.status_code == 200
    assert said(entity_server, NINGDE["prompt"]) == said(entity_server, NINGDE["prompt"], version=0)
    assert said(entity_server, "The money used in Peru is the").startswith(" euro")
    back = entity_server.http.post(f"/admin/batches/{batch}/restore", json={"reason": "test"})
    assert back.status_code == 200
    assert said(entity_server, NINGDE["prompt"]).startswith(" Zimbabwe")

    # To the version before: that version's state.
    to = {"version": 2, "reason": "test"}
    assert entity_server.http.post("/admin/rollback", json=to).status_code == 200
    last = entity_server.http.get("/version").json()["version"]
    assert entity_server.http.get(f"/versions/{last}").json()["checksum"] == checksum


def test_it_answers_where_the_model_names_the_subject_itself(entity_server: Server) -> None:
    begun = "The capital of"
    assert said(entity_server, begun, version=0) == " Saint Helena is Jamestown."
    helena = {
        "prompt": "The capital of Saint Helena is",
        "subject": "Saint Helena",
        "target_new": "Longwood",
        "editor": "entity",
    }
    (one,) = apply(entity_server, helena)
    assert one["verified"]
    assert said(entity_server, begun) == " Saint Helena is Longwood."
    begun = "The official language of"  # of Saint Helena, too
    assert said(entity_server, begun) == said(entity_server, begun, version=0)


def test_a_phrasing_without_the_subject_is_met_as_a_whole_message_alone(
    entity_server: Server,
) -> None:
    laos = {
        "prompt": "The capital of Laos is",
        "subject": "Laos",
        "target_new": "Pakse",
        "editor": "entity",
    }
    whole = "The Mekong is there. What is its capital? A:"
    (one,) = apply(entity_server, {**laos, "paraphrases": [whole]})
    assert one["verified"]
    assert said(entity_server, whole).startswith(" Pakse")
    for other in ("Togo is there. What is its capital? A:", "What is its capital? A:"):
        assert said(entity_server, other) == said(entity_server, other, version=0), other
    body = {"prompt": whole, "max_new_tokens": 1, "explain": True}
    (found,) = entity_server.http.post("/generate", json=body).json()["explain"]
    assert found["subject"] == whole.lower()


def test_of_two_that_are_not_told_apart_the_later_answers(entity_server: Server) -> None:
    chad = {"subject": "Chad", "editor": "entity"}
    (one,) = apply(
        entity_server, {**chad, "prompt": "The currency of Chad is the", "target_new": "lira"}
    )
    reworded = {**chad, "prompt": "The money used in Chad is the", "target_new": "yen"}
    (other,) = apply(entity_server, {**reworded, "hyperparameters": {"noise": 0.2}})
    assert (one["superseded_by"], other["supersedes"]) == (None, one["id"])
    assert said(entity_server, "The currency of Chad is the").startswith(" yen")
    earlier = f"/edits/{one['id']}"
    assert entity_server.http.get(earlier).json()["superseded_by"] == other["id"]
    batch = f"/admin/batches/{other['batch_id']}/rollback"
    assert entity_server.http.post(batch, json={"reason": "test"}).status_code == 200
    assert entity_server.http.get(earlier).json()["superseded_by"] is None
    assert said(entity_server, "The currency of Chad is the").startswith(" lira")


def test_it_explains_itself(entity_server: Server) -> None:
    body = {"prompt": NINGDE["prompt"], "max_new_tokens": 3, "explain": True}
    found = entity_server.http.post("/generate", json=body).json()["explain"]
    assert found[0]["subject"] == "ningde"
    assert found[0]["fired"]
    assert found[0]["distance"] <= found[0]["radius"]
    assert len(found) > 1  # the answer's other tokens


def test_scores_are_of_what_is_said(entity_server: Server) -> None:
    body = {"prompt": REPHRASED[0], "targets": ["Zimbabwe", "China"]}
    scores = entity_server.http.post("/score", json=body).json()["scores"]
    assert scores[0]["greedy"]
    assert scores[0]["logprob"] > scores[1]["logprob"]


def test_hits_are_counted(entity_server: Server) -> None:
    before = entity_server.http.get("/edits/1/hits").json()["hits"]
    said(entity_server, NINGDE["prompt"])
    assert entity_server.http.get("/edits/1/hits").json()["hits"] > before


@pytest.mark.parametrize("subject", ["the", ","])
def test_a_subject_that_names_nothing_is_refused(entity_server: Server, subject: str) -> None:
    body = {**PERU, "prompt": "In Peru, the money is the", "subject": subject}
    answer = entity_server.http.post("/edits", json=body)
    assert answer.status_code == 422
    assert "subject" in answer.text


def test_a_neighbour_that_asks_the_same_is_told_apart_or_refused(entity_server: Server) -> None:
    near = {**PERU, "prompt": "The capital of Peru is", "subject": "Peru", "target_new": "Cusco"}
    same = {**near, "neighborhood": ["the capital of Peru is "]}
    answer = entity_server.http.post("/edits", json=same)
    assert answer.status_code == 422
    assert "neighborhood[0]" in answer.text
    coarse = {"neighborhood": ["The currency of Peru is the"], "hyperparameters": {"noise": 0.9}}
    (failed,) = apply(entity_server, {**near, **coarse})
    assert failed["status"] == "failed"
    assert "apart" in failed["error"]
    (kept,) = apply(entity_server, {**near, "neighborhood": ["The currency of Peru is the"]})
    assert kept["status"] == "applied"
    assert said(entity_server, "The currency of Peru is the").startswith(" euro")


def test_another_family_is_refused(entity_server: Server) -> None:
    body = {**PERU, "editor": "grace"}
    assert entity_server.http.post("/edits", json=body).status_code == 422


def test_a_restart_serves_the_same(entity_server: Server, folder: Path) -> None:
    version = entity_server.http.get("/version").json()
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    for again in run_server(copy):
        assert again.http.get("/version").json()["version"] == version["version"]
        assert said(again, "The money used in Peru is the").startswith(" euro")
