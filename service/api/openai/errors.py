"""Errors in OpenAI's shape: those of every path under `/v1`."""

from collections.abc import Sequence
from http import HTTPStatus

from pydantic import BaseModel, Field

from service.api.contract import Responses, errors_of
from service.errors import FieldError

# OpenAI's word for what RFC 9110 calls unprocessable content.
BAD_INPUT = HTTPStatus.BAD_REQUEST
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
UNKNOWN_FIELD = "Extra inputs are not permitted"
MOST_NAMED = 3  # faults in one message


class ErrorFacts(BaseModel):
    message: str
    type: str
    param: str | None = Field(description="the parameter that is at fault")
    code: str | None


class OpenAIError(BaseModel):
    error: ErrorFacts


def is_openai(path: str) -> bool:
    return path == "/v1" or path.startswith("/v1/")


def documented(*statuses: int) -> Responses:
    """The error responses of a route, for its OpenAPI entry."""
    return errors_of(statuses, {"model": OpenAIError})


def error_body(
    status: int, detail: str, errors: Sequence[FieldError] = ()
) -> dict[str, dict[str, str | None]]:
    kind = "invalid_request_error"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        kind = "rate_limit_error"
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = "server_error"
    code = CODES.get(status)
    if status == HTTPStatus.NOT_FOUND:
        code = "model_not_found" if errors else "unknown_url"
    facts = ErrorFacts(
        message=_message(detail, errors),
        type=kind,
        param=_parameter(errors[0].field) if errors else None,
        code=code,
    )
    return OpenAIError(error=facts).model_dump()


def _message(detail: str, errors: Sequence[FieldError]) -> str:
    unknown = [error.field for error in errors if error.reason == UNKNOWN_FIELD]
    if unknown:
        return f"Unrecognized request argument supplied: {', '.join(unknown[:MOST_NAMED])}"
    return detail


def _parameter(field: str) -> str:
    """The request's own parameter that `messages[0].role` is in."""
    return field.partition(".")[0].partition("[")[0]
