"""Writes a whole log into an empty database, in one transaction."""

import itertools
from collections.abc import Callable

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from service.errors import ArchiveError
from service.storage.contents import AT_ONCE, Rows
from service.storage.database import Database
from service.storage.log import template_named
from service.storage.manifest import Manifest
from service.storage.owners import reserve_owners
from service.storage.records import TABLES
from service.storage.sequences import go_on_after
from service.storage.tables import (
    BatchRow,
    EditRow,
    EventRow,
    SnapshotRow,
    StoreRow,
    SubmissionRow,
    VersionRow,
)


def check_empty(database: Database, manifest: Manifest) -> None:
    """Raises `ArchiveError` unless the database may take the log of an archive."""
    with database.read() as session:
        _check_empty(session, manifest)


def fill(database: Database, rows: Rows, manifest: Manifest, tick: Callable[[int], None]) -> None:
    """Writes all rows or none. Ids given later come after them."""
    with database.write() as session:
        _check_empty(session, manifest)
        # What the first start wrote: the log brings its own.
        session.execute(delete(VersionRow))
        session.execute(delete(StoreRow))
        for kind, written in TABLES.items():
            found = rows.of(kind, _refuse)
            while some := list(itertools.islice(found, AT_ONCE)):
                session.execute(insert(written), [record.model_dump() for record in some])
                tick(len(some))
        for table in (SubmissionRow, EditRow, BatchRow, EventRow):
            last = session.scalar(select(func.max(table.id)))
            if last is not None:
                go_on_after(session, table, last)
        reserve_owners(session)


def _check_empty(session: Session, manifest: Manifest) -> None:
    store = session.get(StoreRow, 1)
    if store is not None and store.fingerprint != manifest.fingerprint:
        raise ArchiveError(
            f"the archive is of a model with fingerprint {manifest.fingerprint[:12]}, and the log "
            f"here is of '{store.model}' (fingerprint {store.fingerprint[:12]})"
        )
    if store is not None and _differ(store.chat_template, manifest.chat_template):
        raise ArchiveError(
            f"the archive is of a model with {template_named(manifest.chat_template)}, and the log "
            f"here of '{store.model}' with {template_named(store.chat_template)}"
        )
    if (session.scalar(select(func.max(VersionRow.version))) or 0) > 0:
        raise ArchiveError("the log here is not empty: it has versions")
    for table in (SubmissionRow, EditRow, BatchRow, EventRow, SnapshotRow):
        if session.scalar(select(func.count()).select_from(table)):
            raise ArchiveError(f"the log here is not empty: it has {table.__tablename__}")


def _differ(here: str | None, there: str | None) -> bool:
    """Whether two chat templates differ, as far as both are known."""
    return here is not None and there is not None and here != there


def _refuse(fault: str) -> None:
    raise ArchiveError(fault)
