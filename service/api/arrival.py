"""Bounds on how a body comes: as it is, and in time."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.failures import failure

LATE = "the request did not come whole within {:g} s"
ENCODED = "bodies are taken without a Content-Encoding: send the JSON as it is"


class Arrival:
    """Middleware: a body that is encoded is answered with 415, since a few bytes can hold millions;
    whoever reads one that does not come whole in `seconds` ends in 408.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _encoding(scope) not in (b"", b"identity"):
            await failure(scope["path"], 415, ENCODED)(scope, receive, send)
            return
        until = asyncio.get_running_loop().time() + self._seconds
        whole = False

        async def in_time() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                # What may still come is no request.
                raise HTTPException(
                    408, LATE.format(self._seconds), {"Connection": "close"}
                ) from None
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, in_time, send)


def _encoding(scope: Scope) -> bytes:
    encoding: bytes = dict(scope["headers"]).get(b"content-encoding", b"")
    return encoding.strip().lower()
