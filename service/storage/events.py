"""The log's events, read so that none is missed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service.domain.events import Event
from service.storage.database import Database
from service.storage.rows import event_of
from service.storage.tables import EditRow, EventRow

# Whoever inserts a row holds this lock from before the row has its id until its transaction is
# seen to have ended. PostgreSQL gives it by itself.
_WRITERS = text(
    "SELECT virtualtransaction FROM pg_locks WHERE mode = 'RowExclusiveLock' AND granted "
    "AND locktype = 'relation' AND relation = 'events'::regclass "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True)
class Head:
    """The last event that is seen, and the transactions that may still add some before it."""

    last: int
    writers: frozenset[str]


@dataclass(frozen=True)
class Page:
    events: list[Event]
    until: int  # the id up to which everything was looked at


class Events:
    """Ids are given in the order of inserts, but PostgreSQL's transactions may become visible in
    another: an event is read when no earlier one can appear any more. That is so once all who wrote
    events when it was first seen have ended.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> Head:
        with self._database.read() as session:
            # In this order: who is not among the writers any more had ended before, or begins
            # after, the ids seen here.
            last = session.scalar(select(func.max(EventRow.id))) or 0
            return Head(last, self._writers(session))

    def writing(self, those: Collection[str]) -> frozenset[str]:
        """Which of the transactions have not ended."""
        with self._database.read() as session:
            return self._writers(session).intersection(those)

    def page(self, after: int, until: int, limit: int, owner: str | None = None) -> Page:
        """The next events above `after`, of at most `limit` rows; all rows up to `until` must be
        settled. With an owner: its own edits' and those of versions.
        """
        query = (
            select(EventRow)
            .where(EventRow.id > after, EventRow.id <= until)
            .order_by(EventRow.id)
            .limit(limit)
        )
        with self._database.read() as session:
            rows = session.scalars(query).all()
            hidden: set[int] = set() if owner is None else _not_of(session, owner, rows)
            seen = rows[-1].id if len(rows) == limit else until
            return Page([event_of(row) for row in rows if row.edit_id not in hidden], seen)

    def _writers(self, session: Session) -> frozenset[str]:
        # SQLite has one writer at a time: what is seen is in order.
        return frozenset(session.scalars(_WRITERS) if self._database.is_shared else ())


def _not_of(session: Session, owner: str, rows: Sequence[EventRow]) -> set[int]:
    named = {row.edit_id for row in rows if row.edit_id is not None}
    own = select(EditRow.id).where(EditRow.id.in_(named), EditRow.submitted_by == owner)
    return named.difference(session.scalars(own))
