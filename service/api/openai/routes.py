"""`/v1/completions`, `/v1/chat/completions` and `/v1/models`."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.api.contract import KEYED, streamable
from service.api.dependencies import ServicesDep, needs
from service.api.guarded import Guarded
from service.api.openai.asking import ask, stream, whole
from service.api.openai.chat import ChatIn
from service.api.openai.errors import documented
from service.api.openai.models import listed, named
from service.api.openai.requests import CompletionIn
from service.api.openai.responses import ChatOut, CompletionOut, ModelOut, ModelsOut
from service.api.openai.shapes import Chat, Completions
from service.domain.keys import Scope

router = APIRouter(
    route_class=Guarded,
    prefix="/v1",
    tags=["openai"],
    dependencies=[needs(Scope.GENERATE)],
    responses=documented(400, *KEYED),
)
ASKED = {**documented(404), **streamable()}


@router.post("/completions", response_model=CompletionOut, responses=ASKED)
async def complete(
    body: CompletionIn, services: ServicesDep, request: Request, response: Response
) -> CompletionOut | Response:
    """Continues prompts, as OpenAI does."""
    asking = await ask(body, services)
    shape = Completions(body.model, asking.answering.version, services.engine.token_text)
    if body.stream:
        return stream(asking, shape)
    return shape.whole(*await whole(asking, request, response))


@router.post("/chat/completions", response_model=ChatOut, responses=ASKED)
async def chat(
    body: ChatIn, services: ServicesDep, request: Request, response: Response
) -> ChatOut | Response:
    """Answers a conversation, as OpenAI does. The model must have a chat template."""
    asking = await ask(body, services)
    shape = Chat(body.model, asking.answering.version, services.engine.token_text)
    if body.stream:
        return stream(asking, shape)
    return shape.whole(*await whole(asking, request, response))


@router.get("/models")
def list_models(services: ServicesDep) -> ModelsOut:
    """The model at its current version, and its latest versions, the last one first."""
    return ModelsOut(data=listed(services))


@router.get("/models/{model:path}", responses=documented(404))
def get_model(
    model: Annotated[str, Path(examples=["atlas", "atlas@0"])], services: ServicesDep
) -> ModelOut:
    """One model, or one of its versions."""
    return named(services, model)
