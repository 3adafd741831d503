"""One server applies at a time: what an overtaken one writes is refused."""

import threading
import time
from typing import Any

import pytest

from service.domain.leases import Lease
from service.domain.states import EditState
from service.errors import LostLeaseError
from service.storage.database import Database
from service.storage.leases import Leases
from service.storage.log import Log
from service.storage.queue import EditQueue, Ending
from tests.storage.batches import applied, opened
from tests.storage.test_queue import correction, prompts, submit

SHORT = 0.3  # seconds


def overtaken(leases: Leases, lease: Lease) -> Lease:
    """Another holder's lease, after that one."""
    leases.give_back(lease)
    other = leases.take("other")
    assert other is not None
    assert other.token == lease.token + 1
    return other


def test_a_lease_has_one_holder_until_it_lapses(database: Database) -> None:
    if not database.is_shared:
        pytest.skip("nobody else can have a file of ours: see test_nobody_waits_for_a_dead_server")
    leases = Leases(database, seconds=SHORT)
    first = leases.take("a")
    assert first is not None
    assert leases.take("b") is None
    time.sleep(SHORT * 0.6)
    leases.renew(first)
    time.sleep(SHORT * 0.6)
    assert leases.take("b") is None
    time.sleep(SHORT)
    second = leases.take("b")
    assert second == Lease("b", first.token + 1)
    with pytest.raises(LostLeaseError, match="lease 1 was lost; 2 is the last"):
        leases.renew(first)
    leases.give_back(first)  # which it has not
    assert leases.take("c") is None


def test_nobody_waits_for_a_dead_server_with_a_file_of_its_own(database: Database) -> None:
    if database.is_shared:
        pytest.skip("it may live")
    leases = Leases(database, seconds=60)
    assert leases.take("dead") == Lease("dead", 1)
    assert leases.take("alive") == Lease("alive", 2)


def test_of_many_one_gets_it(database: Database) -> None:
    if not database.is_shared:
        pytest.skip("of a file there is one user")
    leases = Leases(database, seconds=60)
    found: list[Lease | None] = []
    threads = [
        threading.Thread(target=lambda name=str(i): found.append(leases.take(name)))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(lease is not None for lease in found) == 1


def test_an_overtaken_holder_writes_nothing(
    database: Database, leases: Leases, lease: Lease
) -> None:
    queue, log = EditQueue(database), opened(database)
    submit(queue, correction("a"), correction("b"))
    (edit,) = queue.claim(lease, 1)
    other = overtaken(leases, lease)

    writes: list[Any] = [
        lambda: queue.claim(lease, 1),
        lambda: queue.release(lease, [edit.id], tried=True),
        lambda: queue.end(lease, {edit.id: Ending(EditState.FAILED, "stale")}),
        lambda: log.commit_batch(applied(edit), built_on=0, lease=lease),
    ]
    for write in writes:
        with pytest.raises(LostLeaseError):
            write()
    assert log.last() == 0
    assert queue.get(edit.id).status == EditState.APPLYING
    assert prompts(queue.claim(other, 9)) == ["a", "b"]
    version, _ = log.commit_batch(applied(edit), built_on=0, lease=other)
    assert version.version == Log(database).last() == 1
