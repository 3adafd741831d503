"""`/generate`, `/score` and `/compare`: ask the model, at any version."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from service.api.contract import KEYED, OF_ONE_VERSION, streamable
from service.api.dependencies import ServicesDep, VersionQuery, needs
from service.api.failures import documented, failed_midway
from service.api.fields import (
    EXPLAIN,
    FORMAT,
    MAX_QUERY_CHARACTERS,
    NEW_TOKENS_DEFAULT,
    STREAM,
    Text,
)
from service.api.guarded import Guarded
from service.api.requests import CompareIn, GenerateIn, ScoreIn
from service.api.responses.generated import CompareOut, GenerateOut, PieceOut, TextOf
from service.api.responses.scores import ScoreOut, TargetScore
from service.api.streams import VERSION_HEADER, event_stream, framed, unless_gone
from service.domain.edits import Format
from service.domain.keys import Scope
from service.operations.answering import Answering
from service.operations.ask import Manner

PROMPT = "The currency of Bulgaria is the"

router = APIRouter(
    route_class=Guarded,
    tags=["ask"],
    dependencies=[needs(Scope.GENERATE)],
    responses=documented(*KEYED, 404),
)


@router.get(
    "/generate",
    response_model=GenerateOut,
    response_model_exclude_none=True,
    responses=streamable("PieceOut"),
)
async def generate(
    services: ServicesDep,
    request: Request,
    response: Response,
    prompt: Annotated[
        Text,
        Query(
            max_length=MAX_QUERY_CHARACTERS, description="POST takes longer ones", examples=[PROMPT]
        ),
    ],
    max_new_tokens: Annotated[int | None, Query(ge=1, description=NEW_TOKENS_DEFAULT)] = None,
    version: VersionQuery = None,
    prompt_format: Annotated[Format, Query(alias="format", description=FORMAT)] = Format.PLAIN,
    stream: Annotated[bool, Query(description=STREAM)] = False,
    explain: Annotated[bool, Query(description=EXPLAIN)] = False,
) -> GenerateOut | Response:
    """Continues a prompt by its likeliest tokens."""
    body = GenerateIn(
        prompt=prompt,
        max_new_tokens=max_new_tokens,
        version=version,
        format=prompt_format,
        stream=stream,
        explain=explain,
    )
    return await generate_from_body(body, services, request, response)


@router.post(
    "/generate",
    response_model=GenerateOut,
    response_model_exclude_none=True,
    responses=streamable("PieceOut"),
)
async def generate_from_body(
    body: GenerateIn, services: ServicesDep, request: Request, response: Response
) -> GenerateOut | Response:
    """Continues a prompt: by its likeliest tokens, or with a temperature by tokens drawn. A stream
    has one JSON object an event: pieces of text, in the end the reason why it ends.
    """
    asked = (body.prompt, body.version, body.format, body.manner())
    if body.stream:
        answering = await services.ask.stream(*asked)
        frames = _frames(answering, services.engine.token_text)
        return event_stream(answering.version, framed(frames, failed_midway))
    answer = await unless_gone(request, services.ask.generate(*asked))
    response.headers[VERSION_HEADER] = str(answer.version)
    return GenerateOut.answered(answer, body.format, services.engine.token_text)


async def _frames(answering: Answering, text_of: TextOf) -> AsyncIterator[str]:
    async for index, event in answering.pieces():
        piece = PieceOut.of(answering.version, index, event, text_of)
        yield piece.model_dump_json(exclude_none=True)


@router.post("/score", response_model_exclude_none=True, responses=OF_ONE_VERSION)
async def score(
    body: ScoreIn, services: ServicesDep, request: Request, response: Response
) -> ScoreOut:
    """How likely each of the targets is after the prompt."""
    asked = (body.prompt, body.targets, body.version, body.format)
    scoring = services.lanes.scoring.run(services.ask.score, *asked, explain=body.explain)
    version, scores = await unless_gone(request, scoring)
    response.headers[VERSION_HEADER] = str(version)
    text_of, pairs = services.engine.token_text, zip(body.targets, scores, strict=True)
    return ScoreOut(version=version, scores=[TargetScore.of(*pair, text_of) for pair in pairs])


@router.post("/compare", response_model_exclude_none=True)
async def compare(body: CompareIn, services: ServicesDep, request: Request) -> CompareOut:
    """The same prompt on two versions; by default the unedited model and the current one."""
    asked = (body.prompt, body.left, body.right, body.format, Manner(body.max_new_tokens))
    answers = await unless_gone(request, services.ask.compare(*asked))
    left, right = (
        GenerateOut.answered(a, body.format, services.engine.token_text) for a in answers
    )
    return CompareOut(left=left, right=right, same=left.text == right.text)
