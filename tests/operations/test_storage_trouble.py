"""Storage fails, times out, or does its work and reports that it did not: a client who asks again
finds everything done once.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from errno import ENOSPC
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.storage.database import Database
from service.storage.leases import Leases
from service.worker import worker
from tests.conftest import Server, run_server
from tests.postgresql import Cluster

NAMES = (
    *("Bulgaria", "Peru", "Chad", "Japan", "India", "Kenya", "Norway", "Sweden", "Poland", "Fiji"),
    *("Angola", "Belize", "Brazil", "Canada", "Chile", "China", "Egypt", "Ghana", "Iceland"),
    *("Iran", "Iraq", "Jordan", "Laos", "Mexico", "Nepal", "Oman", "Qatar", "Serbia", "Turkey"),
)
TRIES = 50
Write = AbstractContextManager[Session]


class Trouble:
    """The `number`th write from now on fails: it is not begun, or undone, or done and said to have
    failed; or the file that is written finds the disk full.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, how: str, number: int) -> None:
        self.left = number
        self.met = False
        honest = Database.write

        @contextmanager
        def write(database: Database, **fields: Any) -> Iterator[Session]:
            fails = how != "full" and self._meets()
            if fails and how == "refused":
                raise self._error()
            with honest(database, **fields) as session:
                yield session
                if fails and how == "undone":
                    raise self._error()
            if fails:
                raise self._error()

        def sync(descriptor: int) -> None:
            if how == "full" and self._meets():
                raise OSError(ENOSPC, "No space left on device")
            honest_sync(descriptor)

        honest_sync = os.fsync
        monkeypatch.setattr(Database, "write", write)
        monkeypatch.setattr(os, "fsync", sync)

    def _meets(self) -> bool:
        self.left -= 1
        self.met |= self.left == -1
        return self.left == -1

    def _error(self) -> OperationalError:
        return OperationalError("statement", {}, OSError("connection timed out"))


@pytest.fixture(params=["sqlite", "postgresql"])
def troubled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    monkeypatch.setattr(worker, "TROUBLE_S", 0.05)
    monkeypatch.setattr(Leases, "renew", lambda _leases, _lease: None)  # comes when it likes
    url = None
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgresql")
        url = cluster.new_log()
    yield from run_server(tmp_path, database_url=url)


def insist(http: Any, path: str, body: dict[str, Any], key: str) -> httpx.Response:
    """Asks again for as long as storage does not answer."""
    for _ in range(TRIES):
        answer: httpx.Response = http.post(path, json=body, headers={"Idempotency-Key": key})
        if answer.status_code != 503:
            return answer
        assert answer.headers["Retry-After"] == "1"
        assert "try again" in answer.json()["detail"]
        assert "timed out" not in answer.text
    raise AssertionError("it never answered")


@pytest.mark.parametrize("how", ["refused", "undone", "done", "full"])
def test_whatever_write_fails_all_is_done_once(
    how: str, troubled: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = troubled.http
    for number, name in zip(count(), NAMES, strict=False):
        with monkeypatch.context() as patch:
            trouble = Trouble(patch, how, number)
            body = {"prompt": f"The currency of {name} is the", "target_new": "euro"}
            (edit,) = insist(http, "/edits", body, name).json()["edits"]
            found = http.get(f"/edits/{edit['id']}", params={"wait": 60}).json()
            assert found["status"] == "applied", found
            why = {"reason": "a wrong source"}
            path = f"/admin/batches/{found['batch_id']}/rollback"
            assert insist(http, path, why, name).status_code == 200

        edits = http.get("/edits").json()["edits"]
        batches = http.get("/batches").json()["batches"]
        versions = http.get("/versions").json()["versions"]
        assert len(edits) == number + 1
        assert {e["status"] for e in edits} == {"rolled_back"}
        assert [b["edit_ids"] for b in batches] == [[e["id"]] for e in edits]
        assert [v["kind"] for v in versions] == ["base", *["apply", "rollback"] * (number + 1)]
        assert http.get("/version").json()["version"] == len(versions) - 1
        assert versions[-1]["checksum"] == versions[0]["checksum"]
        if not trouble.met:
            break
    # Intake, claim, commit and rollback met it, or the artifact and its folder.
    assert number >= (2 if how == "full" else 4)
    assert not trouble.met
