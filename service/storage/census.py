"""Counts what the database holds, for those who watch the server."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from service.domain.states import EditState
from service.domain.versions import VersionKind
from service.storage.database import Database, now
from service.storage.tables import EditRow, VersionRow

SHARE = 0.05  # of its time that counting may take: a long log is not counted at every call


@dataclass(frozen=True)
class Count:
    edits: Mapping[tuple[EditState, str], int]  # by state and editor
    oldest_queued_s: float  # how long it has waited; 0 where none waits
    versions: Mapping[VersionKind, int]  # of the log


class Census:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._last: Count | None = None
        self._next_at = 0.0

    def take(self) -> Count:
        """The last count, if a new one would come too soon. Raises what the database does."""
        with self._lock:
            begun = time.monotonic()
            if self._last is None or begun >= self._next_at:
                self._last = self._taken()
                ended = time.monotonic()
                self._next_at = ended + (ended - begun) / SHARE
            return self._last

    def _taken(self) -> Count:
        edits = select(EditRow.status, EditRow.editor, func.count()).group_by(
            EditRow.status, EditRow.editor
        )
        oldest = select(EditRow.created_at).where(EditRow.status == EditState.QUEUED)
        versions = select(VersionRow.kind, func.count()).group_by(VersionRow.kind)
        with self._database.read() as session:
            since = session.scalar(oldest.order_by(EditRow.created_at).limit(1))
            return Count(
                edits={
                    (EditState(state), editor): count
                    for state, editor, count in session.execute(edits)
                },
                oldest_queued_s=0.0 if since is None else max(0.0, (now() - since).total_seconds()),
                versions={VersionKind(kind): count for kind, count in session.execute(versions)},
            )
