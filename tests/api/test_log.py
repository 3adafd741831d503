"""`/batches` and `/versions`."""

import hashlib
from typing import Any

import pytest

from tests.api.calls import EURO, apply, refused, say
from tests.conftest import Server

JAPAN = "The currency of Japan is the"
POLAND = "The currency of Poland is the"


@pytest.fixture(scope="module")
def edited(shared_server: Server) -> Server:
    """Batch 1 changes Bulgaria and Poland, batch 2 Japan; batch 1 is then rolled back."""
    apply(
        shared_server.http,
        {**EURO, "paraphrases": ["Bulgaria's currency is the"], "neighborhood": [JAPAN, POLAND]},
        {"prompt": POLAND, "target_new": "euro"},
    )
    apply(shared_server.http, {"prompt": JAPAN, "target_new": "euro"})
    shared_server.http.post("/admin/batches/1/rollback", json={"reason": "a wrong source"})
    return shared_server


def test_a_batch_tells_how_it_went(edited: Server) -> None:
    batch: dict[str, Any] = edited.http.get("/batches/1").json()

    assert {name: batch[name] for name in ("id", "editor", "status", "version", "edit_ids")} == {
        "id": 1,
        "editor": "grace",
        "status": "rolled_back",
        "version": 1,
        "edit_ids": [1, 2],
    }
    assert batch["metrics"] == {
        "edits": 2,
        "already_true": 0,
        "efficacy": 1.0,
        "paraphrase": 1.0,
        "neighborhood": 0.5,  # Japan's stayed; Poland's is the other edit's prompt
        "entries": batch["metrics"]["entries"],
        "entries_added": batch["metrics"]["entries"],
        "entries_changed": 0,
        "layers": [],
        "residual": None,
        "perplexity_before": None,
        "perplexity_after": None,
    }
    # Two tokens, the target's and the one that ends it, on each of three phrasings, and spellings.
    assert 6 <= batch["metrics"]["entries"] <= 18
    assert set(batch["timings"]) == {"targets_s", "insert_s", "verify_s"}
    assert all(0 < seconds < 60 for seconds in batch["timings"].values())
    assert batch["hyperparameters"]["steps"] == 100
    assert batch["changed_probes"] is None  # none were asked


def test_a_batch_names_its_artifact_by_its_hash(edited: Server) -> None:
    artifact = edited.http.get("/batches/1").json()["artifact"]

    (file,) = edited.services.settings.data_dir.glob(f"artifacts/**/*{artifact}*")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == artifact


def test_the_log_tells_who_did_what_and_why(edited: Server) -> None:
    versions = edited.http.get("/versions").json()["versions"]

    told = ("version", "kind", "batch_id", "batch_ids", "actor", "reason")
    assert [tuple(version[name] for name in told) for version in versions] == [
        (0, "base", None, [], "system", None),
        (1, "apply", 1, [1], "worker", None),
        (2, "apply", 2, [2], "worker", None),
        (3, "rollback", 1, [1], "key:1", "a wrong source"),
    ]
    assert len({version["checksum"] for version in versions}) == 4
    times = [version["created_at"] for version in versions]
    assert times == sorted(times)
    one = edited.http.get("/versions/3").json()
    assert one == {**versions[3], "changed_probes": None}  # none were asked


@pytest.mark.parametrize(
    ("query", "page", "after_it"),
    [
        ("", [0, 1, 2, 3], None),
        ("limit=2", [0, 1], 1),
        ("limit=2&after=1", [2, 3], None),
        ("limit=1&after=-1", [0], 0),
        ("after=3", [], None),
    ],
)
def test_pages_of_versions(
    query: str, page: list[int], after_it: int | None, edited: Server
) -> None:
    found = edited.http.get(f"/versions?{query}").json()

    assert [version["version"] for version in found["versions"]] == page
    assert found["next"] == after_it


@pytest.mark.parametrize(
    ("query", "page", "after_it"),
    [("", [1, 2], None), ("limit=1", [1], 1), ("limit=1&after=1", [2], None)],
)
def test_pages_of_batches(
    query: str, page: list[int], after_it: int | None, edited: Server
) -> None:
    found = edited.http.get(f"/batches?{query}").json()

    assert [batch["id"] for batch in found["batches"]] == page
    assert found["next"] == after_it


@pytest.mark.parametrize(("path", "field"), [("/batches", "batch_id"), ("/versions", "version")])
def test_what_is_not_in_the_log(path: str, field: str, edited: Server) -> None:
    refused(edited.http.get(f"{path}/99"), 404, field)


def test_history_still_answers(edited: Server) -> None:
    for version, answer in {0: " lev.", 1: " euro.", 2: " euro.", 3: " lev."}.items():
        assert say(edited.http, version=version) == answer
