"""What one key may ask of this server: so many requests a minute, so many at once."""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from service.domain.keys import ApiKey
from service.errors import RateLimitedError, TooManyAtOnceError

# What watches a server must not be turned away by what it watches.
UNLIMITED = {"/health", "/health/live", "/health/ready", "/metrics"}


class KeyLimits:
    """Counts by owner: a rotated key is one with its successor. None: no limit."""

    def __init__(self, per_minute: int | None, at_once: int | None) -> None:
        self._rate = _Rate(per_minute) if per_minute else None
        self._most = at_once
        self._lock = threading.Lock()
        self._at_work: Counter[str] = Counter()

    def admit(self, request: Request, key: ApiKey) -> None:
        """Lets a request in, or raises `RateLimitedError` or `TooManyAtOnceError`."""
        # Not that of the URL, which the Host header is a part of.
        if request.scope["path"] in UNLIMITED:
            return
        if self._rate is not None:
            self._rate.count(key.actor)
        if self._most is not None:
            places: contextlib.ExitStack = request.state.places
            places.enter_context(self._place(key.actor, self._most))

    @contextlib.contextmanager
    def _place(self, owner: str, most: int) -> Iterator[None]:
        with self._lock:
            if self._at_work[owner] >= most:
                raise TooManyAtOnceError(most)
            self._at_work[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work[owner] -= 1


class _Rate:
    """The last minute's requests: no more than `most`, wherever the minute begins."""

    def __init__(self, most: int) -> None:
        self._most = RateLimitItemPerMinute(most)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count(self, owner: str) -> None:
        if not self._window.hit(self._most, owner):
            free_at = self._window.get_window_stats(self._most, owner).reset_time
            raise RateLimitedError(self._most.amount, max(1, math.ceil(free_at - time.time())))


class Places:
    """Middleware: the places that a request was given are free when its answer has ended: streamed
    to the last byte, failed, or left by its client.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with contextlib.ExitStack() as places:
            scope.setdefault("state", {})["places"] = places
            await self._app(scope, receive, send)
