"""Whether the server can do its work. Nothing that is wedged keeps this answer back."""

import asyncio

from anyio import CapacityLimiter, to_thread

from service.api.streams import unheard
from service.domain.ports import Current, Running
from service.domain.versions import Version
from service.engine.engine import Engine
from service.operations.insights import Insights
from service.storage.database import STORAGE_TROUBLE

PATIENCE_S = 2.0  # with the database


class Readiness:
    def __init__(
        self,
        worker: Running | None,
        following: Current | None,
        engine: Engine,
        insights: Insights,
    ) -> None:
        self._worker = worker
        self._following = following
        self._engine = engine
        self._insights = insights
        # A thread of its own: questions that wait for one must not look like a slow database.
        self._thread = CapacityLimiter(1)
        self._look: asyncio.Future[Version] | None = None  # at the database; one at a time

    async def reasons(self) -> list[str]:
        """Why the server can't do its work; empty if it can."""
        troubles = [
            self._worker and (self._worker.trouble or self._worker.pending),
            self._following and self._following.trouble,
            self._engine.trouble,
            await self._database_trouble(),
        ]
        return [trouble for trouble in troubles if trouble]

    async def _database_trouble(self) -> str | None:
        if self._look is None or self._look.done():
            look = to_thread.run_sync(self._insights.version, 0, limiter=self._thread)
            self._look = asyncio.ensure_future(look)
            self._look.add_done_callback(unheard)
        try:
            await asyncio.wait_for(asyncio.shield(self._look), PATIENCE_S)
        except STORAGE_TROUBLE:  # `OSError` also when it takes too long
            return "the database does not answer"
        return None
