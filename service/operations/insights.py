"""Looks at the queue, the log and the hits."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

from service.domain.batches import Batch
from service.domain.edits import Edit
from service.domain.probes import ProbeChange
from service.domain.report import ReportedEdit
from service.domain.states import SETTLED, EditState
from service.domain.versions import Version
from service.editing.methods import METHODS
from service.engine.hits import Hits
from service.operations.wakeups import Wakeups
from service.storage.log import Log
from service.storage.queue import EditQueue

# What another server announces may not be heard here: the row is looked at this often.
POLL_S = 0.5
SUMMED = "hook layers add up all edits at once: what they do is no single edit's"


@dataclass(frozen=True)
class EditHits:
    """How many tokens an edit's codebook entries answered, on any version."""

    id: int
    hits: int | None
    since: datetime
    reason: str | None = None  # why there is no count, if there is none


class Insights:
    def __init__(self, queue: EditQueue, log: Log, wakeups: Wakeups, hits: Hits) -> None:
        self._queue = queue
        self._log = log
        self._wakeups = wakeups
        self._hits = hits

    def close(self) -> None:
        """Ends all waiting; what is asked is answered at once from now on."""
        self._wakeups.close()

    async def settled(self, edit_id: int, wait_s: float, owner: str | None = None) -> ReportedEdit:
        """The edit once it is settled, or as it stands when `wait_s` have passed. Raises
        `NotFoundError` for one of another `owner`, if there is one.
        """
        deadline = time.monotonic() + wait_s
        while True:
            seen = self._wakeups.count
            found = await asyncio.to_thread(self._queue.reported, edit_id, owner)
            left = deadline - time.monotonic()
            if found.edit.status in SETTLED or left <= 0 or self._wakeups.closed:
                return found
            await self._wakeups.wait_async(seen, min(left, POLL_S))

    def edits(
        self,
        *,
        after: int,
        limit: int,
        owner: str | None,
        status: EditState | None,
        batch_id: int | None,
        submitted_with: int | None,
    ) -> tuple[list[Edit], bool]:
        """A page, and whether there are more."""
        return self._queue.page(
            after=after,
            limit=limit,
            owner=owner,
            status=status,
            batch_id=batch_id,
            submitted_with=submitted_with,
        )

    def hits(self, edit_id: int, owner: str | None = None) -> EditHits:
        edit = self._queue.get(edit_id, owner)
        if edit.correction.editor in METHODS:
            return EditHits(edit_id, None, self._hits.since, SUMMED)
        return EditHits(edit_id, self._hits.of(edit_id), self._hits.since)

    def batch(self, batch_id: int) -> Batch:
        return self._log.batch(batch_id)

    def batches(self, *, after: int, limit: int) -> list[Batch]:
        return self._log.batches(after=after, limit=limit)

    def version(self, number: int) -> Version:
        return self._log.version(number)

    def changed_probes(self, version: int) -> tuple[ProbeChange, ...] | None:
        """None where none were asked."""
        return self._log.changed_probes(version)

    def versions(self, *, after: int, limit: int) -> list[Version]:
        return self._log.versions(after, limit)
