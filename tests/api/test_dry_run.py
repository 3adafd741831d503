"""`?dry_run=true` on `/admin`: what would change, and nothing does."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from service.operations.comparing import MOST_COMPARED
from tests.api.calls import PROMPT, apply, refused, say
from tests.api.test_admin import JAPAN, POLAND, WHY, change, checksums, statuses
from tests.conftest import Server, run_server

NOBODY: dict[str, list[int]] = {"batch_ids": [], "edit_ids": []}


def preview(http: TestClient, path: str, **asked: Any) -> dict[str, Any]:
    answer = http.post(f"/admin/{path}?dry_run=true", json=WHY | asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def everything(server: Server) -> list[Any]:
    """What a change would show in, the files beside the log among it."""
    pages = [server.http.get(path).json() for path in ("/versions", "/batches", "/edits")]
    files = (server.services.settings.data_dir / "artifacts").glob("**/*")
    return [*pages, sorted(files), say(server.http), server.services.overlays.current]


def two_batches(http: TestClient) -> None:
    euro = [{"prompt": prompt, "target_new": "euro"} for prompt in (PROMPT, JAPAN, POLAND)]
    apply(http, *euro[:2])
    apply(http, euro[2])


@pytest.mark.parametrize(
    ("path", "asked", "rolled_back"),
    [
        ("batches/1/rollback", {}, {"batch_ids": [1], "edit_ids": [1, 2]}),
        ("edits/2/rollback", {}, {"batch_ids": [], "edit_ids": [2]}),
        ("edits/3/rollback", {}, {"batch_ids": [2], "edit_ids": [3]}),
        ("rollback", {"version": 0}, {"batch_ids": [1, 2], "edit_ids": [1, 2, 3]}),
    ],
)
def test_a_rollback_is_told_and_not_made(
    path: str, asked: dict[str, int], rolled_back: dict[str, list[int]], server: Server
) -> None:
    two_batches(server.http)
    before = everything(server)

    told = preview(server.http, path, **asked, expected_version=2)

    assert everything(server) == before
    made = change(server.http, path, **asked)
    assert {name: told[name] for name in ("dry_run", "changes", "version", "checksum")} == {
        "dry_run": True,
        "changes": True,
        "version": 3,
        "checksum": made["checksum"],
    }
    assert (told["rolled_back"], told["restored"]) == (rolled_back, NOBODY)
    assert [one["edit_id"] for one in told["comparisons"]] == rolled_back["edit_ids"]
    for one in told["comparisons"]:
        assert one["now"] == say(server.http, one["prompt"], version=2)
        assert one["after"] == say(server.http, one["prompt"])
        assert one["differs"] is (one["now"] != one["after"])
    assert any(one["differs"] for one in told["comparisons"])


def test_a_restore_is_told_and_not_made(server: Server) -> None:
    two_batches(server.http)
    change(server.http, "edits/1/rollback")
    change(server.http, "batches/1/rollback")
    before = everything(server)

    told = preview(server.http, "batches/1/restore")

    assert everything(server) == before
    assert told["restored"] == {"batch_ids": [1], "edit_ids": [1, 2]}
    assert told["rolled_back"] == NOBODY
    assert told["comparisons"][0] == {
        "edit_id": 1,
        "prompt": PROMPT,
        "now": " lev.",
        "after": " euro.",
        "differs": True,
    }
    made = change(server.http, "batches/1/restore")
    assert (told["version"], told["checksum"]) == (made["version"], made["checksum"])


def test_an_answer_that_stays_is_told_too(server: Server) -> None:
    apply(server.http, {"prompt": PROMPT, "target_new": "lev"})  # is true already
    (one,) = preview(server.http, "edits/1/rollback")["comparisons"]
    assert (one["now"], one["after"], one["differs"]) == (" lev.", " lev.", False)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("batches/1/rollback", {}),
        ("edits/1/rollback", {}),
        ("rollback", {"version": 0}),
        ("batches/1/restore", {}),
    ],
)
def test_nothing_would_change_twice(path: str, asked: dict[str, int], server: Server) -> None:
    apply(server.http, {"prompt": PROMPT, "target_new": "euro"})
    if path.endswith("restore"):
        change(server.http, "batches/1/rollback")
    made = change(server.http, path, **asked)

    assert preview(server.http, path, **asked, expected_version=0) == {
        "dry_run": True,
        "changes": False,
        "version": made["version"],
        "checksum": made["checksum"],
        "rolled_back": NOBODY,
        "restored": NOBODY,
        "comparisons": [],
    }


def test_a_log_that_moved_on_and_what_is_not_there(server: Server) -> None:
    apply(server.http, {"prompt": PROMPT, "target_new": "euro"})
    for path in ("batches/1/rollback", "edits/1/rollback"):
        body = {**WHY, "expected_version": 0}
        refused(server.http.post(f"/admin/{path}?dry_run=true", json=body), 409)
    refused(server.http.post("/admin/edits/9/rollback?dry_run=true", json=WHY), 404, "edit_id")
    refused(server.http.post("/admin/batches/9/restore?dry_run=true", json=WHY), 404, "batch_id")
    body = {**WHY, "version": 9}
    refused(server.http.post("/admin/rollback?dry_run=true", json=body), 404, "version")
    assert len(checksums(server.http)) == 2
    assert statuses(server.http) == ["applied"]


def test_the_first_edits_alone_are_asked(tmp_path: Path) -> None:
    """Even where the server takes few texts at once."""
    for server in run_server(tmp_path, max_batch=64, linger_ms=500, max_generations=3):
        facts = [(r["prompt"], r["target_new"]) for r in read_edits(EDITS_FILE)[:40]]
        apply(server.http, *({"prompt": prompt, "target_new": new} for prompt, new in facts))
        told = preview(server.http, "rollback", version=0)
        gone = told["rolled_back"]["edit_ids"]
        assert len(gone) > MOST_COMPARED
        assert [one["edit_id"] for one in told["comparisons"]] == gone[:MOST_COMPARED]
