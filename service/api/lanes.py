"""Bounds on what waits inside the server: calls for a thread, clients for news."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from service.errors import OverloadedError

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """A few threads for one kind of work, so that it leaves the others theirs."""

    def __init__(self, threads: int, waiting: int, what: str) -> None:
        """`waiting`: calls, beyond those that have a thread. `what` there are too many of."""
        self._limiter = CapacityLimiter(threads)
        self._threads = threads
        self._waiting = waiting
        self._what = what

    async def run(self, work: Callable[P, T], *args: P.args, **fields: P.kwargs) -> T:
        """Raises `OverloadedError`."""
        if self._limiter.statistics().tasks_waiting >= self._waiting:
            raise OverloadedError(self._threads + self._waiting, self._what)
        return await to_thread.run_sync(partial(work, *args, **fields), limiter=self._limiter)


class Seats:
    """For clients that stay until there is news."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Raises `OverloadedError`. For the event loop's thread."""
        if self._taken >= self._most:
            raise OverloadedError(self._most, "clients wait for news")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


@dataclass(frozen=True)
class Lanes:
    intake: Lane  # SQLite has one writer at a time, PostgreSQL a pool of connections
    scoring: Lane  # passes take turns
    changes: Lane  # of history, which has one at a time
    dry_runs: Lane  # of edits, one beside the worker's batch
    seats: Seats

    @classmethod
    def of(cls, texts: int, seats: int) -> "Lanes":
        """`texts` may wait to be scored, as many as to be generated."""
        return cls(
            intake=Lane(4, 256, "requests with edits are being read or wait"),
            scoring=Lane(4, texts, "texts are being scored or wait"),
            changes=Lane(2, 62, "changes of history are being made or wait"),
            dry_runs=Lane(1, 7, "dry runs of edits are being made or wait"),
            seats=Seats(seats),
        )
