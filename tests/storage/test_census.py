"""The database is counted, and not too often."""

from dataclasses import replace
from unittest.mock import Mock

import pytest

from service.domain.leases import Lease
from service.domain.states import EditState
from service.domain.versions import VersionKind
from service.storage.census import Census
from service.storage.database import Database
from service.storage.log import Log
from service.storage.queue import EditQueue, Ending
from tests.storage.test_queue import correction, submit


def test_what_a_database_holds(database: Database, lease: Lease) -> None:
    queue, census = EditQueue(database), Census(database)
    assert census.take().edits == {}
    assert census.take().oldest_queued_s == 0
    Log(database).open("model", "f" * 64, "c" * 64)
    submit(queue, *[correction(f"{n}") for n in range(3)], correction("memit", editor="memit"))
    (first,) = queue.claim(lease, 1)
    queue.end(lease, {first.id: Ending(EditState.FAILED, "no")})

    count = Census(database).take()

    assert count.edits == {
        (EditState.FAILED, "grace"): 1,
        (EditState.QUEUED, "grace"): 2,
        (EditState.QUEUED, "memit"): 1,
    }
    assert count.versions == {VersionKind.BASE: 1}
    assert 0 < count.oldest_queued_s < 60


def test_counting_takes_a_small_share_of_the_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    census = Census(database)
    first = census.take()
    clock = Mock(side_effect=[100.0, 100.0, 101.0, 119.0, 121.5, 121.6])
    monkeypatch.setattr("service.storage.census.time.monotonic", clock)
    counts = [replace(first, oldest_queued_s=float(n)) for n in (1, 2)]
    monkeypatch.setattr(census, "_taken", Mock(side_effect=counts))
    monkeypatch.setattr(census, "_next_at", 101.0)
    assert census.take() is first  # at 100
    monkeypatch.setattr(census, "_next_at", 0.0)
    assert census.take() is counts[0]  # from 100 to 101
    assert census.take() is counts[0]  # at 119, too soon
    assert census.take() is counts[1]  # from 121.5 on
