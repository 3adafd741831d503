"""Edits name the edit at work that they overrule."""

from typing import Any

import pytest

from service.domain.edits import Correction, EditFormat
from service.domain.effects import Effect, Members
from service.domain.leases import Lease
from service.domain.versions import VersionKind
from service.storage.database import Database
from service.storage.log import Log
from service.storage.queue import EditQueue
from tests.storage.batches import applied, opened
from tests.storage.test_queue import submit


@pytest.fixture
def log(database: Database) -> Log:
    return opened(database)


@pytest.fixture
def queue(database: Database) -> EditQueue:
    return EditQueue(database)


def apply(log: Log, queue: EditQueue, lease: Lease, *asked: dict[str, Any]) -> list[int | None]:
    """As one batch; which edit each of these supersedes."""
    given = [Correction(**{"prompt": "p", "editor": "grace", **fields}) for fields in asked]
    edits = submit(queue, *given)
    queue.claim(lease, len(edits))
    log.commit_batch(applied(*edits), built_on=log.last(), lease=lease)
    return [queue.get(edit.id).supersedes for edit in edits]


def change(log: Log, kind: VersionKind, effect: Effect, *edit_ids: int) -> None:
    log.commit_change(
        kind,
        effect=effect,
        edit_ids=edit_ids,
        built_on=log.last(),
        parent=0,
        artifact="b" * 64,
        checksum="c" * 64,
        actor="key:1",
        reason="a test",
    )


def target(text: str, **fields: Any) -> dict[str, Any]:
    return {"target_new": text, **fields}


def test_the_latest_edit_with_another_target(log: Log, queue: EditQueue, lease: Lease) -> None:
    assert apply(log, queue, lease, target("a")) == [None]
    assert apply(log, queue, lease, target("b"), target("c", prompt="q")) == [1, None]
    assert apply(log, queue, lease, target("d")) == [2]
    assert apply(log, queue, lease, target("d")) == [2]  # says what 4 says, and other than 2
    assert apply(log, queue, lease, target("c", prompt="q"), target("e", prompt="q")) == [None, 3]


def test_another_place_is_not_superseded(log: Log, queue: EditQueue, lease: Lease) -> None:
    apply(log, queue, lease, target("a"), target("a", prompt="q"))
    assert apply(log, queue, lease, target("b", format=EditFormat.CHAT)) == [None]
    assert apply(log, queue, lease, target("c", format=EditFormat.CHAT)) == [3]
    # Whatever it names as the subject: after one prompt the model says one thing.
    assert apply(log, queue, lease, target("b", subject="p")) == [1]
    assert apply(log, queue, lease, target("c", subject=" p ")) == [5]  # looked for alike


def test_what_is_rolled_back_is_not_superseded(log: Log, queue: EditQueue, lease: Lease) -> None:
    apply(log, queue, lease, target("a"), target("z", prompt="q"))
    apply(log, queue, lease, target("b"))
    change(log, VersionKind.ROLLBACK, Effect(rolled_back=Members((2,), (3,))))
    assert apply(log, queue, lease, target("c")) == [1]
    change(log, VersionKind.ROLLBACK, Effect(rolled_back=Members((), (1,))), 1)
    assert apply(log, queue, lease, target("d")) == [4]
    assert queue.get(3).status == "rolled_back"
    assert log.version(3).edit_ids == ()
    assert log.version(5).edit_ids == (1,)
    assert (log.batch(1).status, log.batch(2).status) == ("applied", "rolled_back")


def test_a_restored_edit_is_the_latest(log: Log, queue: EditQueue, lease: Lease) -> None:
    apply(log, queue, lease, target("a"))
    apply(log, queue, lease, target("b"))
    one = Members((1,), (1,))
    change(log, VersionKind.ROLLBACK, Effect(rolled_back=one))
    change(log, VersionKind.RESTORE, Effect(restored=one))
    assert apply(log, queue, lease, target("c")) == [1]


def test_an_edit_is_in_one_batch(log: Log, queue: EditQueue, lease: Lease) -> None:
    apply(log, queue, lease, target("a"), target("b", prompt="q"))
    apply(log, queue, lease, target("c", prompt="r"))
    assert log.batch_of([2, 3]) == {2: 1, 3: 2}
    assert log.edits_of([1, 2]) == {1: (1, 2), 2: (3,)}
    assert (log.batch_of([]), log.edits_of([])) == ({}, {})
