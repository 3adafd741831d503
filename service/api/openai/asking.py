"""From a request's body to texts that the engine is at."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request, Response

from service.api.dependencies import Services
from service.api.openai.chat import ChatIn
from service.api.openai.errors import error_body
from service.api.openai.models import pinned
from service.api.openai.requests import CompletionIn
from service.api.openai.shapes import Shape
from service.api.responses.generated import Usage
from service.api.streams import VERSION_HEADER, event_stream, framed, unless_gone
from service.engine.running import Generation
from service.operations.answering import Answering
from service.operations.overlays import Pinned

END = "[DONE]"


@dataclass(frozen=True)
class Asking:
    answering: Answering
    texts: int  # how many
    prompt_tokens: int
    with_usage: bool  # a stream ends with it

    def usage(self, texts: list[Generation]) -> Usage:
        return Usage.of(self.prompt_tokens, texts)


async def ask(body: CompletionIn | ChatIn, services: Services) -> Asking:
    """Raises what is wrong with the request before any of it is answered."""
    chosen, prompts = await asyncio.to_thread(_resolved, body, services)
    manner = body.manner(services.settings.max_new_tokens)
    return Asking(
        services.ask.answer(prompts, chosen, manner, streamed=bool(body.stream)),
        len(prompts) * manner.count,
        sum(map(len, prompts)),
        body.with_usage,
    )


async def whole(
    asking: Asking, request: Request, response: Response
) -> tuple[list[Generation], Usage]:
    answer = await unless_gone(request, asking.answering.whole())
    response.headers[VERSION_HEADER] = str(answer.version)
    texts = list(answer.texts)
    return texts, asking.usage(texts)


def stream(asking: Asking, shape: Shape) -> Response:
    frames = framed(_frames(asking, shape), _failed_midway)
    return event_stream(asking.answering.version, frames)


def _resolved(
    body: CompletionIn | ChatIn, services: Services
) -> tuple[Pinned, list[tuple[int, ...]]]:
    return pinned(services, body.model), body.prompts(services.ask.prompts)


async def _frames(asking: Asking, shape: Shape) -> AsyncIterator[str]:
    for opening in shape.opening(asking.texts):
        yield opening.model_dump_json()
    texts = []
    async for index, event in asking.answering.pieces():
        if isinstance(event, Generation):
            texts.append(event)
        yield shape.frame(index, event).model_dump_json()
    if asking.with_usage:
        yield shape.closing(asking.usage(texts)).model_dump_json()
    yield END


def _failed_midway(status: int, detail: str) -> str:
    return json.dumps(error_body(status, detail))
