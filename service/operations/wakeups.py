"""Tells those who wait that something changed: the worker of new edits, clients of settled ones."""

import asyncio
import threading


class Wakeups:
    """A counter that goes up with every change; threads and coroutines can wait for it to."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._closed = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def count(self) -> int:
        return self._count

    @property
    def closed(self) -> bool:
        """The server is about to stop: nobody should wait any more."""
        return self._closed

    def close(self) -> None:
        self._closed = True
        self.announce()

    def announce(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    def wait(self, seen: int, timeout_s: float) -> None:
        """Blocks the thread until the counter passes `seen`, or for `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._count > seen, timeout_s)

    async def wait_async(self, seen: int, timeout_s: float) -> None:
        """The same for a coroutine."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        with self._condition:
            if self._count > seen:
                return
            self._waiting.add(entry)
        try:
            await asyncio.wait_for(entry[1].wait(), timeout_s)
        except TimeoutError:
            pass
        finally:
            with self._condition:
                self._waiting.discard(entry)
