"""Bounds on what a request may send, enforced before anything of it is parsed."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import failure


class BodyLimit:
    """Middleware: a body of more than `limit` bytes is answered with 413, announced or not.

    Bodies are small by this very limit, so that they are read whole before the app sees any.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = None
        if _announced(scope) <= self._limit:
            body = await self._read(receive)
        if body is None:
            refusal = failure(scope["path"], 413, f"a body has at most {self._limit} bytes")
            await refusal(scope, receive, send)
            return
        unread = [body]

        async def replay() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, or None if it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._limit:
                return None
            if not message.get("more_body", False):  # also when the client has gone
                return bytes(body)


def _announced(scope: Scope) -> int:
    """The size that the request claims; 0 if it makes no claim that can be read."""
    claim = dict(scope["headers"]).get(b"content-length", b"")
    # Python refuses to read thousands of digits; so many are enough for any size.
    return int(claim[:20]) if claim.isdigit() else 0
