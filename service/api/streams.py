"""Answers that are sent as they come, and clients who leave before theirs is there."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.operations.answering import Answering

T = TypeVar("T")

VERSION_HEADER = "X-Errata-Version"
logger = logging.getLogger(__name__)


class EventStream(StreamingResponse):
    """Server-sent events, each with one of `frames` as its data."""

    def __init__(self, answering: Answering, frames: AsyncIterator[str]) -> None:
        super().__init__(
            (f"data: {frame}\n\n" async for frame in frames),
            media_type="text/event-stream",
            # Proxies must pass each event on as it comes.
            headers={
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                VERSION_HEADER: f"{answering.version}",
            },
        )
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # A client may be gone before the first frame is asked for.
            self._answering.cancel()


async def framed(frames: AsyncIterator[str], failure: str) -> AsyncIterator[str]:
    """`frames`; should they fail midway, the last one is `failure`: the answer has begun, and its
    status can't tell any more.
    """
    try:
        async for frame in frames:
            yield frame
    except Exception:
        logger.exception("a stream failed midway")
        yield failure


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Waits for an answer as long as its client does, so that nothing is made for nobody."""
    making = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise ClientDisconnect
        return making.result()
    finally:
        making.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
