"""Events are read in order and none is missed, however transactions overlap, on both databases."""

import threading
import time

import pytest
from sqlalchemy import insert, select

from service.domain.edits import Correction
from service.storage.database import Database, now
from service.storage.events import Events, Head
from service.storage.queue import EditQueue
from service.storage.tables import EventRow

WRITERS = 4
TURNS = 10


@pytest.fixture
def events(database: Database) -> Events:
    return Events(database)


def submit(database: Database, actor: str = "key:1") -> int:
    given = Correction(prompt="a", target_new="b", editor="grace")
    (edit,) = EditQueue(database).submit(
        [given], actor=actor, idempotency_key=None, body_hash="", max_depth=1_000
    )
    return edit.id


def write(database: Database, reason: str) -> None:
    with database.write() as session:
        session.add(EventRow(actor="a test", reason=reason, created_at=now()))


def test_pages_are_of_rows_and_show_ones_own(database: Database, events: Events) -> None:
    mine, theirs = submit(database), submit(database, "key:2")
    EditQueue(database).cancel(mine, "key:1")
    write(database, "a version's")
    assert events.head() == Head(4, frozenset())

    found = [(e.edit_id, e.from_status, e.to_status) for e in events.page(0, 4, 9).events]
    assert found == [
        (mine, None, "queued"),
        (theirs, None, "queued"),
        (mine, "queued", "cancelled"),
        (None, None, None),
    ]
    first = events.page(0, 4, 2, "key:2")
    assert ([event.id for event in first.events], first.until) == ([2], 2)
    rest = events.page(2, 4, 9, "key:2")
    assert ([event.id for event in rest.events], rest.until) == ([4], 4)
    assert events.page(0, 3, 9).until == 3


def test_no_event_is_skipped_while_an_earlier_one_is_not_committed(
    database: Database, events: Events
) -> None:
    if not database.is_shared:
        pytest.skip("SQLite has one writer at a time")
    write(database, "first")
    with database.write() as session:
        session.add(EventRow(actor="a test", reason="slow", created_at=now()))
        session.flush()  # it has its id, and nobody sees it
        write(database, "fast")

        head = events.head()
        assert (head.last, len(head.writers)) == (3, 1)
        assert [event.id for event in events.page(0, 3, 9).events] == [1, 3]  # what a reader skips
        assert events.writing(head.writers) == head.writers
        # Those who begin later are not waited for.
        with database.write() as later:
            later.add(EventRow(actor="a test", reason="later", created_at=now()))
            later.flush()
            assert len(events.writing(head.writers)) == 1
    assert events.writing(head.writers) == frozenset()
    assert [event.reason for event in events.page(1, 3, 9).events] == ["slow", "fast"]


def test_an_undone_event_holds_nobody_up(database: Database, events: Events) -> None:
    with database.engine.connect() as undone:
        undone.execute(insert(EventRow).values(actor="a test", created_at=now()))
    write(database, "next")
    head = events.head()
    assert head.writers == frozenset()
    assert [event.reason for event in events.page(0, head.last, 9).events] == ["next"]


def test_a_reader_of_busy_writers_misses_nothing(database: Database, events: Events) -> None:
    """Writers with pauses between insert and commit, and one reader who goes on and on."""
    writers = [
        threading.Thread(target=_keep_writing, args=(database, number)) for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    found: list[int] = []
    while True:
        over = not any(writer.is_alive() for writer in writers)
        found += _read_on(events, found[-1] if found else 0)
        if over:
            break
    with database.read() as session:
        assert found == list(session.scalars(select(EventRow.id).order_by(EventRow.id)))
    assert len(found) == WRITERS * TURNS


def _keep_writing(database: Database, number: int) -> None:
    for turn in range(TURNS):
        with database.write() as session:
            session.add(EventRow(actor="a test", reason=f"{number}-{turn}", created_at=now()))
            session.flush()
            time.sleep((number * 7 + turn * 3) % 5 / 1_000)


def _read_on(events: Events, after: int) -> list[int]:
    head = events.head()
    while events.writing(head.writers):
        time.sleep(0.001)
    return [event.id for event in events.page(after, head.last, 1_000).events]
