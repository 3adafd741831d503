"""A log holds one family of edits at a time, and chooses anew once nothing of it is at work."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from service.domain.batches import Batch
from service.domain.edits import Correction
from service.domain.effects import Effect, Members
from service.domain.leases import Lease
from service.domain.versions import VersionKind
from service.editing.grace import Grace
from service.errors import InvalidRequestError
from service.operations.editors import Editors
from service.operations.family import Family
from service.operations.overlays import Overlays
from service.storage.database import Database
from service.storage.leases import Leases
from service.storage.log import Log
from service.storage.queue import EditQueue
from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.operations.test_hook_layers import FEW, NAMES, checksum, fact, generated, rollback
from tests.operations.test_verification import verdict
from tests.storage.batches import applied, opened
from tests.storage.test_queue import submit
from tests.waiting import until

LOWER = {"hyperparameters": {"layer": 3}}  # a codebook at another layer than atlas's own
HELD = "hook layers move the activations that a codebook's keys were cached from"
WITHIN_S = 20.0


def change(server: Server, path: str, *, status: int = 200, **body: Any) -> Any:
    answer = server.http.post(f"/admin/{path}", json={"reason": "test", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(server: Server, edit: dict[str, Any]) -> str:
    answer = server.http.post("/edits", json=edit)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == "editor"
    reason: str = error["reason"]
    return reason


def test_a_log_that_was_rolled_back_takes_another_family(tmp_path: Path) -> None:
    for server in run_server(tmp_path, **FEW):
        apply(server, fact("Bulgaria"))
        grace, said = checksum(server), generated(server, "Bulgaria")
        assert "this log holds a codebook at layer 4" in refused(
            server, fact("Peru", editor="rome")
        )
        change(server, "rollback", version=0)
        base = checksum(server)

        for name in NAMES[1:3]:
            (edit,) = apply(server, fact(name, editor="rome", hyperparameters={"steps": 5}))
            assert edit["status"] == "applied"
        reason = refused(server, fact("Japan"))
        assert reason.startswith("this log holds plain hook layers")
        assert reason.endswith("it can be taken once every batch at work is rolled back")
        rome = checksum(server), generated(server, "Chad")
        # History is asked, whatever is at work now.
        assert generated(server, "Bulgaria", version=1) == said == " euro."

        # What was taken out comes back only where nothing of another family is at work.
        for path, body in (("batches/1/restore", {}), ("rollback", {"version": 1})):
            for dry in ("", "?dry_run=true"):
                detail = change(server, path + dry, status=409, **body)["detail"]
                assert detail.startswith("batch 1 needs a codebook at layer 4")
                assert HELD in detail
        assert checksum(server) == rome[0]
        rollback(server, 2)  # replays the third over nothing
        assert checksum(server) not in (base, rome[0])
        change(server, "rollback", version=4)
        assert (checksum(server), generated(server, "Chad")) == rome

    assert verdict(tmp_path).whole
    for server in run_server(tmp_path, **FEW):
        assert (checksum(server), generated(server, "Chad")) == rome
        assert generated(server, "Bulgaria", version=1) == said
        change(server, "rollback", version=0)
        assert checksum(server) == base
        change(server, "batches/1/restore")
        assert (checksum(server), generated(server, "Bulgaria")) == (grace, said)
        assert "this log holds a codebook" in refused(server, fact("Peru", editor="rome"))
        change(server, "rollback", version=0)
        change(server, "rollback", version=4)
        assert (checksum(server), generated(server, "Chad")) == rome


def test_a_codebook_may_move_once_it_is_empty(server: Server) -> None:
    apply(server, fact("Bulgaria"))
    assert "needs a codebook at layer 3" in refused(server, fact("Peru", **LOWER))
    rollback(server, 1)
    (edit,) = apply(server, fact("Peru", **LOWER))
    assert (edit["status"], generated(server, "Peru")) == ("applied", " euro.")
    assert "needs a codebook at layer 4" in refused(server, fact("Chad"))


def test_a_restore_that_comes_before_a_batch_shuts_it_out(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch was claimed, and looked at, when nothing was at work."""
    apply(server, fact("Bulgaria"))
    rollback(server, 1)
    computed = Mock(side_effect=RuntimeError("over a codebook at another layer"))
    monkeypatch.setattr(Grace, "targets", computed)
    changing = server.services.overlays.changing
    restoring = threading.Thread(target=change, args=(server, "batches/1/restore"))

    def waiting(count: int) -> Callable[[], bool]:
        return lambda: len(changing._waiting) == count

    with changing:
        restoring.start()
        until(waiting(1), WITHIN_S)
        (queued,) = server.http.post("/edits", json=fact("Peru", **LOWER)).json()["edits"]
        until(waiting(2), WITHIN_S)
    restoring.join()
    edit = server.http.get(f"/edits/{queued['id']}", params={"wait": 60}).json()
    assert edit["status"] == "failed"
    assert "this log holds a codebook at layer 4" in edit["error"]
    assert not computed.called
    assert generated(server, "Bulgaria") == " euro."


class Scene:
    """A log whose batches are of the family that their hyperparameters name, and what a server
    knows of it that serves version 0.
    """

    def __init__(self, database: Database) -> None:
        self.log = opened(database)
        self.served = SimpleNamespace(current=SimpleNamespace(version=0))
        self.reads = Mock(side_effect=self.log.first_at_work)
        self._queue, self._lease = EditQueue(database), _lease(database)
        editors = SimpleNamespace(
            structure=lambda correction: correction.hyperparameters["kind"],
            structure_of_batch=lambda batch: batch.editor,
        )
        log = SimpleNamespace(first_at_work=self.reads)
        self.family = Family(
            cast("Editors", editors), cast("Log", log), cast("Overlays", self.served)
        )

    def takes(self, kind: str) -> bool:
        try:
            self.family.check(Correction("p", "t", "grace", hyperparameters={"kind": kind}))
        except InvalidRequestError:
            return False
        return True

    def apply(self) -> Batch:
        """A batch of GRACE's."""
        (edit,) = submit(self._queue, Correction("p", "t", "grace"))
        self._queue.claim(self._lease, 1)
        _, batch = self.log.commit_batch(applied(edit), built_on=self.log.last(), lease=self._lease)
        return batch

    def roll_back(self, batch: Batch) -> None:
        self.log.commit_change(
            VersionKind.ROLLBACK,
            effect=Effect(rolled_back=Members((batch.id,), batch.edit_ids)),
            edit_ids=(),
            built_on=self.log.last(),
            parent=0,
            artifact=None,
            checksum="base",
            actor="key:1",
            reason="a test",
        )


def _lease(database: Database) -> Lease:
    lease = Leases(database, seconds=60).take("tests")
    assert lease is not None
    return lease


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    database = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    database.upgrade()
    yield Scene(database)
    database.close()


def test_a_follower_refuses_by_what_is_at_work_now(scene: Scene) -> None:
    first = scene.apply()
    scene.served.current.version = 1
    assert (scene.takes("grace"), scene.takes("memit")) == (True, False)
    scene.roll_back(first)  # by another server, and this one still serves version 1
    assert scene.takes("memit")
    scene.served.current.version = 2
    assert (scene.takes("grace"), scene.takes("memit")) == (True, True)
    scene.apply()
    scene.served.current.version = 3
    assert (scene.takes("grace"), scene.takes("memit")) == (True, False)


def test_the_log_is_read_once_a_version(scene: Scene) -> None:
    assert all(scene.takes("memit") for _ in range(9))
    scene.apply()
    scene.served.current.version = 1
    assert all(scene.takes("grace") for _ in range(9))
    assert scene.reads.call_count == 2
