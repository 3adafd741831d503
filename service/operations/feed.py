"""Events as they come, for whoever reads on from some event."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from service.domain.events import Event
from service.operations.wakeups import Wakeups
from service.storage.events import Events

PAGE = 500  # rows of one read
POLL_S = 0.5  # between two looks, if nobody announces anything
SETTLE_S = 1.0  # that one look waits for transactions before it
SETTLE_POLL_S = 0.01
KEEP_ALIVE_S = 15.0  # between two signs of life


class Feed:
    def __init__(self, events: Events, wakeups: Wakeups) -> None:
        self._events = events
        self._wakeups = wakeups

    async def read(self, after: int, owner: str | None) -> AsyncIterator[Event]:
        """The events above `after` that are there by now; with an owner, its own edits' and those
        of versions.
        """
        until = await self._settled(after)
        async for event in self._between(after, until, owner):
            yield event

    async def follow(
        self, after: int, owner: str | None, allowed: Callable[[], bool]
    ) -> AsyncIterator[Event | None]:
        """The same and all that come, until the server stops or the reader is not `allowed` any
        more; None is a sign of life.
        """
        checked = spoken = time.monotonic()
        while not self._wakeups.closed:
            seen = self._wakeups.count
            until = await self._settled(after)
            async for event in self._between(after, until, owner):
                spoken = time.monotonic()
                yield event
                if self._wakeups.closed:
                    return
            after = until
            if time.monotonic() - checked >= KEEP_ALIVE_S:
                if not await asyncio.to_thread(allowed):
                    return
                checked = time.monotonic()
            if time.monotonic() - spoken >= KEEP_ALIVE_S:
                spoken = time.monotonic()
                yield None
            await self._wakeups.wait_async(seen, POLL_S)

    async def _between(self, after: int, until: int, owner: str | None) -> AsyncIterator[Event]:
        while after < until:
            page = await asyncio.to_thread(self._events.page, after, until, PAGE, owner)
            for event in page.events:
                yield event
            after = page.until

    async def _settled(self, after: int) -> int:
        """The id up to which no event can appear any more; `after`, if that takes too long."""
        head = await asyncio.to_thread(self._events.head)
        if head.last <= after:
            return after
        writers, give_up = head.writers, time.monotonic() + SETTLE_S
        while writers:
            if time.monotonic() > give_up:
                return after
            await asyncio.sleep(SETTLE_POLL_S)
            writers = await asyncio.to_thread(self._events.writing, writers)
        return head.last
