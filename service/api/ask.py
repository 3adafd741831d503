"""`/generate`, `/score` and `/compare`: ask the model, at any version."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from service.api.dependencies import Needs, ServicesDep, VersionQuery
from service.api.fields import FORMAT, NEW_TOKENS_DEFAULT, Text
from service.api.problems import documented
from service.api.requests import CompareIn, GenerateIn, ScoreIn
from service.api.responses import CompareOut, GenerateOut, ScoreOut, TargetScore
from service.domain.edits import Format
from service.domain.keys import Scope

VERSION_HEADER = "X-Errata-Version"
PROMPT = "The currency of Bulgaria is the"

router = APIRouter(
    tags=["ask"],
    dependencies=[Depends(Needs(Scope.GENERATE))],
    responses=documented(401, 403, 404, 422),
)


@router.get("/generate")
def generate(
    services: ServicesDep,
    response: Response,
    prompt: Annotated[Text, Query(examples=[PROMPT])],
    max_new_tokens: Annotated[int | None, Query(ge=1, description=NEW_TOKENS_DEFAULT)] = None,
    version: VersionQuery = None,
    prompt_format: Annotated[Format, Query(alias="format", description=FORMAT)] = Format.PLAIN,
) -> GenerateOut:
    """Continues a prompt, greedily."""
    body = GenerateIn(
        prompt=prompt, max_new_tokens=max_new_tokens, version=version, format=prompt_format
    )
    return generate_from_body(body, services, response)


@router.post("/generate", responses=documented(413))
def generate_from_body(body: GenerateIn, services: ServicesDep, response: Response) -> GenerateOut:
    """Continues a prompt, greedily."""
    answer = GenerateOut.of(
        *services.ask.generate(body.prompt, body.max_new_tokens, body.version, body.format)
    )
    response.headers[VERSION_HEADER] = str(answer.version)
    return answer


@router.post("/score", responses=documented(413))
def score(body: ScoreIn, services: ServicesDep, response: Response) -> ScoreOut:
    """How likely each of the targets is after the prompt."""
    version, scores = services.ask.score(body.prompt, body.targets, body.version, body.format)
    response.headers[VERSION_HEADER] = str(version)
    pairs = zip(body.targets, scores, strict=True)
    return ScoreOut(version=version, scores=[TargetScore.of(*pair) for pair in pairs])


@router.post("/compare", responses=documented(413))
def compare(body: CompareIn, services: ServicesDep) -> CompareOut:
    """The same prompt on two versions; by default the unedited model and the current one."""
    answers = services.ask.compare(
        body.prompt, body.max_new_tokens, body.left, body.right, body.format
    )
    left, right = (GenerateOut.of(*answer) for answer in answers)
    return CompareOut(left=left, right=right, same=left.text == right.text)
