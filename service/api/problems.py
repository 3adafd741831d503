"""Errors as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service.errors import (
    ConflictError,
    ErrataError,
    FieldError,
    ForbiddenError,
    IdempotencyError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    QueueFullError,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUS_OF: dict[type[ErrataError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    QueueFullError: HTTPStatus.TOO_MANY_REQUESTS,
    NotAuthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
}


class ProblemField(BaseModel):
    field: str
    reason: str


class Problem(BaseModel):
    """RFC 9457; `errors` names every field that is at fault."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = []


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for its OpenAPI entry."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def problem(
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[ProblemField(field=error.field, reason=error.reason) for error in errors],
    )
    content = body.model_dump(exclude=None if errors else {"errors"})
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def field_name(location: Sequence[str | int]) -> str:
    """`("body", "edits", 3, "subject")` as a reader would write it: `edits[3].subject`."""
    parts = location[1:] if location[:1] in (("body",), ("query",), ("path",)) else location
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name or "body"


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors without its own words for them, and without the input."""
    return [
        FieldError(field_name(tuple(e["loc"])), str(e["msg"]).removeprefix("Value error, "))
        for e in errors
    ]


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ErrataError, _on_errata)
    app.add_exception_handler(Exception, _on_crash)


def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    return _invalid(field_errors(cast("RequestValidationError", error).errors()))


def _invalid(errors: list[FieldError]) -> JSONResponse:
    detail = "; ".join(f"{error.field}: {error.reason}" for error in errors[:3])
    more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail + more, errors)


def _on_http(_request: Request, error: Exception) -> JSONResponse:
    failure = cast("HTTPException", error)  # what this handler was installed for
    return problem(failure.status_code, failure.detail, headers=failure.headers)


def _on_errata(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, InvalidRequestError):
        return _invalid(error.errors)
    status = next((s for kind, s in STATUS_OF.items() if isinstance(error, kind)), None)
    if status is None:
        return _on_crash(request, error)
    errors, headers = [], {}
    if isinstance(error, NotFoundError):
        errors = [FieldError(error.kind, str(error))]
    if isinstance(error, QueueFullError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, NotAuthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return problem(status, str(error), errors, headers)


def _on_crash(request: Request, error: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log has the reason")
