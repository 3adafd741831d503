"""`GET /metrics`, for Prometheus."""

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client.exposition import choose_encoder

from service.api.dependencies import Needs, ServicesDep
from service.api.problems import documented
from service.domain.keys import Scope

router = APIRouter(tags=["operating"])


@router.get(
    "/metrics",
    dependencies=[Depends(Needs(Scope.GENERATE))],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **documented(401, 403)},
)
def metrics(services: ServicesDep, request: Request) -> Response:
    """What the server counts, as Prometheus reads it. Takes a key of any scope."""
    encode, media_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(services.metrics.registry), media_type=media_type)
