"""`/admin`: rollback and restore over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.calls import EURO, PROMPT, apply, refused, say
from tests.conftest import Server, run_server

JAPAN = "The currency of Japan is the"
POLAND = "The currency of Poland is the"
WHY = {"reason": "a wrong source"}


def change(http: TestClient, path: str, **asked: Any) -> dict[str, Any]:
    """Changes history and returns the version that did it."""
    answer = http.post(f"/admin/{path}", json=WHY | asked)
    assert answer.status_code == 200, answer.text
    version: dict[str, Any] = answer.json()
    return version


def checksums(http: TestClient) -> list[str]:
    return [version["checksum"] for version in http.get("/versions").json()["versions"]]


def statuses(http: TestClient) -> list[str]:
    return [edit["status"] for edit in http.get("/edits").json()["edits"]]


def scores(http: TestClient, version: int | None = None) -> list[dict[str, Any]]:
    asked = {"prompt": PROMPT, "targets": ["euro", "lev", "new lira"], "version": version}
    found: list[dict[str, Any]] = http.post("/score", json=asked).json()["scores"]
    return found


def three_batches(http: TestClient) -> None:
    for prompt in (PROMPT, JAPAN, POLAND):
        apply(http, {"prompt": prompt, "target_new": "euro"})


def test_rolling_back_everything_leaves_the_base_model(server: Server) -> None:
    http = server.http
    apply(http, EURO)
    assert scores(http) != scores(http, version=0)

    version = change(http, "batches/1/rollback", expected_version=1)

    assert (
        version.items()
        >= {
            "version": 2,
            "kind": "rollback",
            "batch_id": 1,
            "actor": "key:1",
            "reason": "a wrong source",
        }.items()
    )
    assert version["checksum"] == checksums(http)[0]
    assert scores(http) == scores(http, version=0)  # bit for bit
    assert say(http) == " lev."
    assert statuses(http) == ["rolled_back"]
    assert http.get("/batches/1").json()["status"] == "rolled_back"


def test_restoring_gives_what_was_there(server: Server) -> None:
    http = server.http
    apply(http, EURO)
    change(http, "batches/1/rollback")

    version = change(http, "batches/1/restore", expected_version=2)

    assert (version["version"], version["kind"], version["batch_id"]) == (3, "restore", 1)
    assert version["checksum"] == checksums(http)[1]
    assert scores(http) == scores(http, version=1)
    assert say(http) == " euro."
    assert statuses(http) == ["applied"]
    assert http.get("/batches/1").json()["status"] == "applied"


def test_a_batch_in_the_middle_leaves_the_others(server: Server) -> None:
    http = server.http
    three_batches(http)

    version = change(http, "batches/2/rollback")

    assert (version["version"], version["batch_ids"]) == (4, [2])
    assert [say(http, prompt) for prompt in (PROMPT, JAPAN, POLAND)] == [
        " euro.",
        " yen.",
        say(http, POLAND, version=3),
    ]
    assert statuses(http) == ["applied", "rolled_back", "applied"]
    # Without 2 and 3 it is batch 1 alone, which is what version 1 was.
    assert change(http, "batches/3/rollback")["checksum"] == checksums(http)[1]


def test_an_edit_leaves_its_batch_alone(server: Server) -> None:
    http = server.http
    apply(http, *({"prompt": prompt, "target_new": "euro"} for prompt in (PROMPT, JAPAN)))

    version = change(http, "edits/2/rollback", expected_version=1)

    told = {name: version[name] for name in ("version", "kind", "batch_id", "batch_ids")}
    assert told == {"version": 2, "kind": "rollback", "batch_id": None, "batch_ids": []}
    assert (version["edit_ids"], version["actor"]) == ([2], "key:1")
    assert (say(http), say(http, JAPAN)) == (" euro.", " yen.")
    assert statuses(http) == ["applied", "rolled_back"]
    assert http.get("/batches/1").json()["status"] == "applied"
    assert http.get("/versions/2").json() == {**version, "changed_probes": None}


@pytest.mark.parametrize("path", ["edits/1/rollback", "edits/1/rollback?dry_run=true"])
def test_only_an_applied_edit_is_rolled_back(path: str, tmp_path: Path) -> None:
    def refuses(http: TestClient) -> str:
        detail: str = refused(http.post(f"/admin/{path}", json=WHY), 409)["detail"]
        return detail

    for server in run_server(tmp_path, linger_ms=60_000):
        server.http.post("/edits", json=EURO)
        assert refuses(server.http) == "edit 1 is queued; only an applied one is rolled back"
        server.http.delete("/edits/1")
        assert refuses(server.http) == "edit 1 is cancelled; only an applied one is rolled back"
        assert statuses(server.http) == ["cancelled"]


def test_an_edit_that_another_won_over_is_not_rolled_back(server: Server) -> None:
    apply(server.http, EURO, {**EURO, "target_new": "yen"})

    problem = refused(server.http.post("/admin/edits/1/rollback", json=WHY), 409)

    assert problem["detail"] == "edit 1 is superseded; only an applied one is rolled back"
    assert statuses(server.http) == ["superseded", "applied"]


def test_rolling_back_to_a_version_and_forward_again(server: Server) -> None:
    http = server.http
    three_batches(http)

    back = change(http, "rollback", version=1)

    assert (back["version"], back["batch_id"], back["batch_ids"]) == (4, None, [2, 3])
    assert back["checksum"] == checksums(http)[1]
    assert statuses(http) == ["applied", "rolled_back", "rolled_back"]
    assert change(http, "rollback", version=0)["checksum"] == checksums(http)[0]
    assert statuses(http) == ["rolled_back"] * 3
    forward = change(http, "rollback", version=3)
    assert (forward["version"], forward["checksum"]) == (6, checksums(http)[3])
    assert statuses(http) == ["applied"] * 3


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("batches/1/rollback", {}),
        ("batches/1/restore", {}),
        ("edits/1/rollback", {}),
        ("rollback", {"version": 0}),
    ],
)
def test_asking_again_changes_nothing(path: str, asked: dict[str, int], server: Server) -> None:
    apply(server.http, EURO)
    if path.endswith("restore"):
        change(server.http, "batches/1/rollback")
    first = change(server.http, path, **asked, expected_version=len(checksums(server.http)) - 1)
    log = checksums(server.http)

    # What a client sends again after a lost answer: the log has moved on by its own request.
    assert change(server.http, path, **asked, expected_version=1) == first
    assert change(server.http, path, **asked, reason="once more") == first

    assert checksums(server.http) == log


def test_a_change_that_is_made_already_answers_with_the_version_that_made_it(
    server: Server,
) -> None:
    apply(server.http, EURO)
    apply(server.http, {"prompt": JAPAN, "target_new": "euro"})
    assert change(server.http, "batches/1/restore")["version"] == 1
    change(server.http, "batches/1/rollback")
    change(server.http, "batches/2/rollback")

    assert change(server.http, "batches/1/rollback")["version"] == 3

    assert len(checksums(server.http)) == 5


@pytest.mark.parametrize("path", ["batches/1/rollback", "edits/1/rollback", "rollback"])
def test_a_log_that_moved_on_is_left_alone(path: str, server: Server) -> None:
    apply(server.http, EURO)
    apply(server.http, {"prompt": JAPAN, "target_new": "euro"})
    asked = {**WHY, "expected_version": 1} | ({"version": 0} if path == "rollback" else {})

    problem = refused(server.http.post(f"/admin/{path}", json=asked), 409)

    assert problem["detail"] == "expected version 1, but the log is at version 2"
    assert len(checksums(server.http)) == 3
    assert statuses(server.http) == ["applied", "applied"]


def test_restoring_into_a_log_that_moved_on(server: Server) -> None:
    apply(server.http, EURO)
    change(server.http, "batches/1/rollback")

    refused(server.http.post("/admin/batches/1/restore", json={**WHY, "expected_version": 1}), 409)

    assert statuses(server.http) == ["rolled_back"]


def test_a_batch_that_added_nothing_goes_and_comes_back(server: Server) -> None:
    apply(server.http, {**EURO, "target_new": "lev"})

    assert change(server.http, "batches/1/rollback")["version"] == 2
    assert statuses(server.http) == ["rolled_back"]
    assert change(server.http, "batches/1/restore")["version"] == 3
    assert statuses(server.http) == ["applied"]
    assert set(checksums(server.http)) == {checksums(server.http)[0]}


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("batches/9/rollback", {}, "batch_id"),
        ("batches/9/restore", {}, "batch_id"),
        ("edits/9/rollback", {}, "edit_id"),
        ("rollback", {"version": 9}, "version"),
    ],
)
def test_what_is_not_there_is_not_changed(
    path: str, asked: dict[str, int], field: str, shared_server: Server
) -> None:
    refused(shared_server.http.post(f"/admin/{path}", json=WHY | asked), 404, field)
