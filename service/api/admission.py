"""How many requests are answered at once, and how those that are too many are turned away."""

import asyncio
import contextlib
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.failures import unavailable
from service.api.limits import UNLIMITED

# Answers by themselves, whatever else goes on.
LIVE = {"/health", "/health/live"}
SPARE = 64  # places that only those have who watch the server
REFUSALS = {429, 503}
# Of the event loop's time, at the most, so that it sees to everybody else: what a refusal costs
# that is made here, and one that a handler has come to.
EARLY_S = 0.005
LATE_S = 0.01
LONGEST_S = 15.0  # that one of them waits


class Admission:
    """Middleware: while `most` requests are answered, others get a 503.

    Refusals go out at a bounded pace. Clients who ask again as soon as they are refused would
    otherwise keep the event loop busy with refusing, and nobody else would be answered in time.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._under_way = 0
        self._pace = _Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in LIVE:
            await self._app(scope, receive, send)
        elif self._under_way >= self._most + SPARE * (scope["path"] in UNLIMITED):
            await self._pace.wait(EARLY_S)
            detail = f"{self._most} requests are being answered, and no more are taken for now"
            await unavailable(scope["path"], detail)(scope, receive, send)
        else:
            await self._admitted(scope, receive, send)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.ExitStack() as place:
            place.enter_context(self._place())

            async def paced(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] in REFUSALS:
                    place.close()  # whoever waits here keeps nobody out
                    await self._pace.wait(LATE_S)
                await send(message)

            await self._app(scope, receive, paced)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


class _Pace:
    """One after the other, each so long after the one before as that one took."""

    def __init__(self) -> None:
        self._free_at = 0.0  # by the event loop's clock

    async def wait(self, cost_s: float) -> None:
        now = asyncio.get_running_loop().time()
        due = max(now, self._free_at)
        self._free_at = min(due + cost_s, now + LONGEST_S)
        if due > now:
            await asyncio.sleep(due - now)
