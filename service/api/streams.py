"""Answers that are sent as they come, and clients who leave before theirs is there."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from service.api.failures import CRASHED, UNSTORED
from service.errors import StoppingError
from service.storage.database import UNAVAILABLE

T = TypeVar("T")

VERSION_HEADER = "X-Errata-Version"
# Proxies must pass each event on as it comes.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
logger = logging.getLogger(__name__)


def event_stream(version: int, frames: AsyncIterator[str]) -> StreamingResponse:
    """Server-sent events, each with one of `frames` as its data."""
    return StreamingResponse(
        (f"data: {frame}\n\n" async for frame in frames),
        media_type="text/event-stream",
        headers={**STREAM_HEADERS, VERSION_HEADER: f"{version}"},
    )


async def framed(
    frames: AsyncIterator[str], failure: Callable[[int, str], str]
) -> AsyncIterator[str]:
    """`frames`; should they fail midway, the last one is a `failure` of a status and a reason: the
    answer has begun, and its own status can't tell any more.
    """
    try:
        async for frame in frames:
            yield frame
    except StoppingError as error:
        yield failure(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    except UNAVAILABLE as error:
        logger.error("storage is in trouble: %s", error)
        yield failure(HTTPStatus.SERVICE_UNAVAILABLE, UNSTORED)
    except Exception:
        logger.exception("a stream failed midway")
        yield failure(HTTPStatus.INTERNAL_SERVER_ERROR, CRASHED)


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Waits for an answer as long as its client does, so that nothing is made for nobody."""
    making = asyncio.ensure_future(answer)
    making.add_done_callback(unheard)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise ClientDisconnect
        return making.result()
    finally:
        making.cancel()
        leaving.cancel()


def unheard(task: asyncio.Future[Any]) -> None:
    """A task that may fail when nobody is left to hear of it. By itself asyncio logs such an error,
    with its message, which may quote a request.
    """
    if not task.cancelled():
        task.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
