"""Sees every request and its answer: counts it, traces it, and writes a line of the log."""

import logging
import time
from typing import Any

from asgi_correlation_id import correlation_id
from opentelemetry.trace import Span, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.failures import CLIENT_LEFT
from service.api.metrics.registry import Metrics
from service.api.streams import VERSION_HEADER
from service.operations.spans import Spans

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "none"
IDS = ("edit_id", "batch_id")  # of routes' paths; others may hold what a client made up

logger = logging.getLogger(__name__)


class Observing:
    """Middleware. Nothing that a client sent gets into labels, spans or lines, but for the
    request's id and numbers: paths and queries hold prompts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, spans: Spans) -> None:
        self._app = app
        self._metrics = metrics
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._spans.request(scope["headers"]) as span:
            await self._observe(scope, receive, send, span)

    async def _observe(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        begun = time.perf_counter()
        status, version = CLIENT_LEFT, None

        async def sent(message: Message) -> None:
            nonlocal status, version
            if message["type"] == "http.response.start":
                status = int(message["status"])  # not by its name
                version = dict(message["headers"]).get(VERSION_HEADER.lower().encode())
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception:
            status = 500  # as the client is told further out
            raise
        finally:
            facts = _facts(scope)
            if version is not None:
                facts["version"] = int(version)
            self._note(scope, span, status, time.perf_counter() - begun, facts)

    def _note(
        self, scope: Scope, span: Span, status: int, seconds: float, facts: dict[str, Any]
    ) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.answered(method, route, status, seconds)
        _trace(span, method, route, status, facts)
        logger.info(
            "request",
            extra={
                "method": method,
                "route": route,
                "status": status,
                "seconds": round(seconds, 6),
                **facts,
            },
        )


def _trace(span: Span, method: str, route: str, status: int, facts: dict[str, Any]) -> None:
    """By OpenTelemetry's names, where it has one."""
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "errata.request_id": correlation_id.get() or "",
            **{f"errata.{name}": value for name, value in facts.items()},
        }
    )
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def _facts(scope: Scope) -> dict[str, Any]:
    """The ids of what the request is about, if they are numbers."""
    given = scope.get("path_params") or {}
    return {name: int(given[name]) for name in IDS if str(given.get(name, "")).isdecimal()}
