"""Which error is answered how: every one that a request can end in."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from service.api.failures import CLIENT_LEFT, CRASHED, UNSTORED, failure, unavailable
from service.api.headers import SECURITY
from service.api.openai.errors import UNKNOWN_FIELD
from service.errors import (
    ArtifactsUnreachableError,
    ConflictError,
    ErrataError,
    FieldError,
    ForbiddenError,
    IdempotencyError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    OverloadedError,
    QueueFullError,
    RateLimitedError,
    StoppedError,
    StoppingError,
    TooManyAtOnceError,
    UnknownModelError,
)
from service.storage.database import UNAVAILABLE

logger = logging.getLogger(__name__)

STATUS_OF: dict[type[ErrataError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    UnknownModelError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    QueueFullError: HTTPStatus.TOO_MANY_REQUESTS,
    OverloadedError: HTTPStatus.TOO_MANY_REQUESTS,
    RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyAtOnceError: HTTPStatus.TOO_MANY_REQUESTS,
    StoppingError: HTTPStatus.SERVICE_UNAVAILABLE,
    StoppedError: HTTPStatus.SERVICE_UNAVAILABLE,
    NotAuthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
}

# Each says when to try again.
BUSY = (
    QueueFullError,
    OverloadedError,
    RateLimitedError,
    TooManyAtOnceError,
    StoppingError,
    StoppedError,
)
MOST_FAULTS = 1_000  # told one by one; a body has room for tens of thousands
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # that routes here may have
# Pydantic names classes and dictionaries here, of which a client knows nothing.
NO_OBJECT = {"model_type", "model_attributes_type", "dict_type"}
NOT_AN_OBJECT = "must be a JSON object"


def field_name(location: Sequence[str | int]) -> str:
    """`("edits", 3, "subject")` as a reader would write it: `edits[3].subject`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


def field_error(error: Mapping[str, Any], location: Sequence[str | int]) -> FieldError:
    """One of Pydantic's errors without its own words for it, and without the input."""
    if error["type"] == "extra_forbidden":
        return FieldError(field_name(location), UNKNOWN_FIELD)
    if error["type"] in NO_OBJECT:
        return FieldError(field_name(location), NOT_AN_OBJECT)
    return FieldError(field_name(location), str(error["msg"]).removeprefix("Value error, "))


def unreadable(error: Exception) -> FieldError:
    """Why a body could not be parsed."""
    if isinstance(error, RecursionError):
        return FieldError("body", "is nested too deeply")
    return FieldError("body", f"is not JSON: {error}")


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ErrataError, _on_errata)
    app.add_exception_handler(ClientDisconnect, _on_leaving)
    for kind in (*UNAVAILABLE, ArtifactsUnreachableError):
        app.add_exception_handler(kind, _on_unavailable)
    app.add_exception_handler(Exception, _on_crash)


def _on_invalid(request: Request, error: Exception) -> Response:
    return _invalid(request, [_fault(e) for e in cast("RequestValidationError", error).errors()])


def _fault(error: Mapping[str, Any]) -> FieldError:
    place, *location = error["loc"]  # path, query, header or body
    if error["type"] == "json_invalid":
        return FieldError(
            "body", f"is not JSON: {error['ctx']['error']} at character {location[0]}"
        )
    if isinstance(error.get("input"), bytes):
        return FieldError("body", "must be sent as Content-Type: application/json")
    return field_error(error, location or [place])


def _invalid(request: Request, errors: list[FieldError]) -> Response:
    detail = "; ".join(f"{error.field}: {error.reason}" for error in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return failure(request.scope["path"], status, detail + more, errors[:MOST_FAULTS])


def _on_http(request: Request, error: Exception) -> Response:
    http = cast("HTTPException", error)  # what this handler was installed for
    if isinstance(http.__cause__, ValueError | RecursionError):
        # FastAPI's word for a body that Python's parser gives up on keeps the reason to itself.
        return _invalid(request, [unreadable(http.__cause__)])
    headers = dict(http.headers or {})
    if http.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    return failure(request.scope["path"], http.status_code, http.detail, headers=headers)


def _allowed(request: Request) -> list[str]:
    """What may be asked of this path. Starlette names the methods of its first route alone."""
    asked = ({**request.scope, "method": method} for method in METHODS)
    routes = request.app.routes
    return [
        scope["method"]
        for scope in asked
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


def _on_errata(request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidRequestError):
        return _invalid(request, error.errors)
    status = next((s for kind, s in STATUS_OF.items() if isinstance(error, kind)), None)
    if status is None:
        raise error  # no client's fault: a crash
    errors, headers = [], {}
    if isinstance(error, NotFoundError):
        errors = [FieldError(error.field, str(error))]
    if isinstance(error, UnknownModelError):
        errors = [FieldError("model", str(error))]
    if isinstance(error, IdempotencyError):
        errors = [FieldError("idempotency-key", str(error))]
    if isinstance(error, BUSY):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return failure(request.scope["path"], status, str(error), errors, headers)


def _on_leaving(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it, and nothing has failed."""
    return Response(status_code=CLIENT_LEFT)


def _on_unavailable(request: Request, error: Exception) -> Response:
    # The reason may name hosts and files.
    logger.error("storage is in trouble: %s", error)
    return unavailable(request.scope["path"], UNSTORED)


def _on_crash(request: Request, error: Exception) -> Response:
    logger.error("a request failed", exc_info=error)
    return failure(
        request.scope["path"],
        HTTPStatus.INTERNAL_SERVER_ERROR,
        CRASHED,
        # This answer is made outside the middleware that gives all others theirs.
        headers={"X-Request-ID": correlation_id.get() or "", **SECURITY},
    )
