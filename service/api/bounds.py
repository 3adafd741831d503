"""Bounds on what a request may send, enforced before anything of it is parsed."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Middleware: whoever reads a body of more than `limit` bytes, announced or not, ends in 413.
    What nobody reads, since the key is wrong or no such route is there, is not waited for.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced, arrived = _announced(scope), 0

        async def bounded() -> Message:
            nonlocal arrived
            if announced <= self._limit:
                message = await receive()
                arrived += len(message.get("body", b""))
                if arrived <= self._limit:
                    return message
            raise HTTPException(413, f"a body has at most {self._limit} bytes")

        await self._app(scope, bounded, send)


def _announced(scope: Scope) -> int:
    """The size that the request claims; 0 if it makes no claim that can be read."""
    claim = dict(scope["headers"]).get(b"content-length", b"")
    # Python refuses to read thousands of digits; so many are enough for any size.
    return int(claim[:20]) if claim.isdigit() else 0
