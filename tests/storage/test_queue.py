"""The queue: durable, first in first out by priority, claimed once."""

import threading
from typing import Any

import pytest

from service.domain.edits import Correction, Edit
from service.domain.leases import Lease
from service.domain.states import EditState
from service.errors import ConflictError, IdempotencyError, QueueFullError
from service.storage.database import Database
from service.storage.leases import Leases
from service.storage.queue import EditQueue, Ending


def correction(prompt: str, **fields: Any) -> Correction:
    return Correction(prompt=prompt, target_new="new", **{"editor": "grace", **fields})


def submit(queue: EditQueue, *corrections: Correction, **fields: Any) -> list[Edit]:
    given = {"actor": "key:1", "idempotency_key": None, "body_hash": "h", "max_depth": 100}
    return queue.submit(corrections, **{**given, **fields})


def held(leases: Leases, holder: str = "tests") -> Lease:
    lease = leases.take(holder)
    assert lease is not None
    return lease


@pytest.fixture
def queue(database: Database) -> EditQueue:
    return EditQueue(database)


def prompts(edits: list[Edit]) -> list[str]:
    return [edit.correction.prompt for edit in edits]


def test_claims_by_priority_and_then_by_age(queue: EditQueue, lease: Lease) -> None:
    submit(queue, correction("a"), correction("b"), correction("c", priority=5), correction("d"))
    assert prompts(queue.claim(lease, 2)) == ["a", "c"]  # applied in the order of submission
    assert prompts(queue.claim(lease, 9)) == ["b", "d"]
    assert queue.claim(lease, 9) == []


def test_a_batch_has_one_editor(queue: EditQueue, lease: Lease) -> None:
    submit(queue, correction("a"), correction("b", editor="memit"), correction("c"))
    assert prompts(queue.claim(lease, 9)) == ["a", "c"]
    assert prompts(queue.claim(lease, 9)) == ["b"]


def test_what_a_dead_holder_left_is_claimed_again_and_first(
    queue: EditQueue, leases: Leases
) -> None:
    dead = held(leases)
    submit(queue, correction("a"), correction("b"))
    assert prompts(queue.claim(dead, 1)) == ["a"]
    submit(queue, correction("urgent", priority=9))
    leases.give_back(dead)
    again = queue.claim(held(leases, "another"), 1)
    assert prompts(again) == ["a"]
    assert again[0].attempts == 2


def test_what_ends_its_holders_is_claimed_alone_in_the_end(
    queue: EditQueue, leases: Leases
) -> None:
    submit(queue, correction("a"), correction("b"))
    claimed = []
    for holder in "vwxyz":
        lease = held(leases, holder)
        claimed.append(prompts(queue.claim(lease, 9)))
        leases.give_back(lease)
    assert claimed == [["a", "b"]] * 3 + [["a"]] * 2


def test_trouble_that_a_holder_outlives_is_no_attempt(queue: EditQueue, leases: Leases) -> None:
    submit(queue, correction("a"))
    for _ in range(5):  # as where a disk is full
        lease = held(leases)
        (edit,) = queue.claim(lease, 1)
        leases.give_back(lease)
    assert edit.attempts == 1
    lease = held(leases)
    queue.claim(lease, 1)
    queue.release(lease, [edit.id], tried=False)
    assert queue.claim(lease, 1)[0].attempts == 1
    queue.release(lease, [edit.id], tried=True)
    assert queue.claim(lease, 1)[0].attempts == 2


def test_it_is_empty_once_nothing_is_to_be_claimed(queue: EditQueue, leases: Leases) -> None:
    dead = held(leases)
    assert queue.is_empty(dead)
    submit(queue, correction("a"), correction("b"))
    queue.cancel(2, "key:1")
    assert not queue.is_empty(dead)
    queue.claim(dead, 9)
    assert queue.is_empty(dead)
    leases.give_back(dead)
    assert not queue.is_empty(held(leases))


def test_a_page_of_long_edits_is_short(queue: EditQueue) -> None:
    """However many may be asked for: a thousand of a million characters each fit no memory."""
    long = correction("a", metadata={"note": "x" * 1_000_000})
    submit(queue, *[long] * 12)
    pages, after, more = [], 0, True
    while more:
        page, more = queue.page(after=after, limit=1_000)
        pages.append([edit.id for edit in page])
        after = pages[-1][-1]
    assert pages == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 12]]
    page, more = queue.page(after=0, limit=2)
    assert ([edit.id for edit in page], more) == ([1, 2], True)
    assert queue.page(after=10, limit=2)[1] is False


def test_racing_claims_share_the_queue_out(queue: EditQueue, lease: Lease) -> None:
    submit(queue, *(correction(str(i)) for i in range(60)))
    claimed: list[Edit] = []

    def work() -> None:
        while batch := queue.claim(lease, 7):
            claimed.extend(batch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(prompts(claimed)) == sorted(str(i) for i in range(60))


def test_the_same_idempotency_key_gives_the_same_edits(queue: EditQueue) -> None:
    first = submit(queue, correction("a"), correction("b"), idempotency_key="k")
    again = submit(queue, correction("a"), correction("b"), idempotency_key="k")
    assert [edit.id for edit in again] == [edit.id for edit in first]
    assert queue.depth() == 2
    with pytest.raises(IdempotencyError):
        submit(queue, correction("z"), idempotency_key="k", body_hash="other")
    assert len(submit(queue, correction("a"), idempotency_key="k", actor="key:2")) == 1


def test_a_full_queue_takes_nothing(queue: EditQueue) -> None:
    submit(queue, correction("a"), max_depth=2)
    with pytest.raises(QueueFullError):
        submit(queue, correction("b"), correction("c"), max_depth=2)
    assert queue.depth() == 1


def test_only_queued_edits_are_cancelled(queue: EditQueue, lease: Lease) -> None:
    first, second = submit(queue, correction("a"), correction("b"))
    assert queue.cancel(second.id, "key:1").status is EditState.CANCELLED
    queue.claim(lease, 9)
    with pytest.raises(ConflictError, match="is applying"):
        queue.cancel(first.id, "key:1")


def test_an_edit_that_ends_keeps_its_reason(queue: EditQueue, lease: Lease) -> None:
    (edit,) = submit(queue, correction("a"))
    queue.claim(lease, 9)
    queue.end(lease, {edit.id: Ending(EditState.FAILED, "because")})
    assert (queue.get(edit.id).status, queue.get(edit.id).error) == ("failed", "because")
