"""Error responses: `application/problem+json` (RFC 9457), or on `/v1` as OpenAI has them."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Response
from pydantic import BaseModel

from service.api.contract import Responses, errors_of
from service.api.openai.errors import BAD_INPUT, error_body, is_openai
from service.errors import FieldError

MEDIA_TYPE = "application/problem+json"
CLIENT_LEFT = 499  # what web servers log for it
RETRY_AFTER_S = 1  # of what can't be answered now
UNSTORED = "storage does not answer; try again, with the same Idempotency-Key if there was one"
CRASHED = "the server failed; its log has the reason"


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


def failed_midway(status: int, detail: str) -> str:
    """The last frame of a stream that fails once its status is sent."""
    title = HTTPStatus(status).phrase
    return json.dumps({"error": {"title": title, "status": status, "detail": detail}})


def documented(*statuses: int) -> Responses:
    """The error responses of a route, for its OpenAPI entry."""
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return errors_of(statuses, {"content": problem})


def problem_body(status: int, detail: str, errors: Sequence[FieldError] = ()) -> dict[str, Any]:
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[ProblemField(field=error.field, reason=error.reason) for error in errors],
    )
    return body.model_dump(exclude=None if errors else {"errors"})


def failure(
    path: str,
    status: int,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error in the shape that answers at `path` have."""
    if is_openai(path):
        status = BAD_INPUT if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
        kind, body = "application/json", json.dumps(error_body(status, detail, errors))
    else:
        kind, body = MEDIA_TYPE, json.dumps(problem_body(status, detail, errors))
    # Plain ASCII: a field's name, as the client sent it, may hold what UTF-8 cannot.
    return Response(body, status, headers, kind)


def unavailable(path: str, detail: str) -> Response:
    """Not now: a 503 that says when to try again."""
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return failure(path, HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)
