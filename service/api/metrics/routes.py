"""`GET /metrics`, for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.api.contract import KEYED, Responses
from service.api.dependencies import ServicesDep, needs
from service.api.failures import documented
from service.api.guarded import Guarded
from service.domain.keys import Scope

TEXT = {"schema": {"type": "string"}}
FIGURES: Responses = {200: {"content": {"text/plain": TEXT, "application/openmetrics-text": TEXT}}}

router = APIRouter(route_class=Guarded, tags=["operating"])


@router.get(
    "/metrics",
    dependencies=[needs(Scope.GENERATE)],
    response_class=Response,
    # Scrapes are not limited.
    responses={**FIGURES, **documented(*(status for status in KEYED if status != 429))},
)
def metrics(services: ServicesDep, request: Request) -> Response:
    """What the server counts, as Prometheus reads it. Takes a key of any scope."""
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(services.metrics.registry), media_type=media_type)
