"""`/health`, `/version`: is it well, and what is it."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service import __version__
from service.api.contract import KEYED
from service.api.dependencies import ServicesDep, needs
from service.api.failures import documented
from service.api.guarded import Guarded
from service.api.responses.operating import AboutOut, HealthOut, ReadyOut
from service.domain.keys import Scope

router = APIRouter(route_class=Guarded, tags=["operating"])


@router.get("/health")
@router.get("/health/live")
async def live() -> HealthOut:
    """The process and its event loop answer. Needs no key."""
    return HealthOut(status="ok")


@router.get("/health/ready", responses={503: {"model": ReadyOut}})
async def ready(services: ServicesDep, response: Response) -> ReadyOut:
    """It can take edits and apply them; if not, why. Needs no key."""
    reasons = await services.readiness.reasons()
    if reasons:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return ReadyOut(ready=not reasons, reasons=reasons)


@router.get(
    "/version",
    dependencies=[needs(Scope.GENERATE)],
    responses=documented(*KEYED),
)
def about(services: ServicesDep) -> AboutOut:
    """What serves here."""
    loaded = services.engine.loaded
    return AboutOut(
        errata=__version__,
        model=loaded.name,
        fingerprint=loaded.fingerprint,
        editor=services.settings.editor,
        max_batch=services.settings.max_batch,
        version=services.overlays.current.version,
        chats=loaded.chats,
        system_messages=loaded.system_messages,
    )
