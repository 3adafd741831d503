"""Sees every request and its answer: counts it, and writes a line of the log."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.metrics.registry import Metrics
from service.api.problems import CLIENT_LEFT
from service.api.streams import VERSION_HEADER

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "none"
IDS = ("edit_id", "batch_id")  # of routes' paths; others may hold what a client made up

logger = logging.getLogger(__name__)


class Observing:
    """Middleware. Nothing that a client sent gets into labels or lines, but for the request's id
    and numbers: paths and queries hold prompts.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status, version = CLIENT_LEFT, None

        async def sent(message: Message) -> None:
            nonlocal status, version
            if message["type"] == "http.response.start":
                status = message["status"]
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
            self._note(scope, status, time.perf_counter() - begun, facts)

    def _note(self, scope: Scope, status: int, seconds: float, facts: dict[str, Any]) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        self._metrics.answered(method, route, status, seconds)
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


def _facts(scope: Scope) -> dict[str, Any]:
    """The ids of what the request is about, if they are numbers."""
    given = scope.get("path_params") or {}
    return {name: int(given[name]) for name in IDS if str(given.get(name, "")).isdecimal()}
