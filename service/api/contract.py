"""What the OpenAPI document says of answers beyond their bodies."""

from http import HTTPStatus
from typing import Any

Header = dict[str, Any]

# What every route that asks for a key can answer: no key, one of a smaller scope, a body that is
# late, too large or encoded, a query that it does not know (below `/v1` that is a 400), too many
# requests, and storage that does not answer.
KEYED = (401, 403, 408, 413, 415, 422, 429, 503)


def _header(description: str, kind: str = "string") -> Header:
    return {"description": description, "required": True, "schema": {"type": kind}}


_RETRY_AFTER = {"Retry-After": _header("seconds after which to try again", "integer")}
REQUEST_ID = {"X-Request-ID": _header("the request's own, or one that was made for it")}
# The headers that an error of this status has.
OF_STATUS: dict[int, dict[str, Header]] = {
    401: {"WWW-Authenticate": _header("how to send a key")},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
LOCATION = {"Location": _header("where to follow the edits")}

Responses = dict[int | str, dict[str, Any]]
# Of routes whose answer is of one version.
OF_ONE_VERSION: Responses = {
    200: {"headers": {"X-Errata-Version": _header("the version that answered", "integer")}}
}


def errors_of(statuses: tuple[int, ...], shape: dict[str, Any]) -> Responses:
    """Error responses of one shape, which is OpenAPI's `content` or FastAPI's `model`."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "headers": OF_STATUS.get(status, {}),
            **shape,
        }
        for status in statuses
    }


def sent_events(shape: str | None = None) -> dict[str, Any]:
    """Server-sent events as an answer's content; `shape` names the schema of each one's data."""
    data: dict[str, Any] = {"type": "string"}
    if shape is not None:
        reference = {"$ref": f"#/components/schemas/{shape}"}
        data |= {"contentMediaType": "application/json", "contentSchema": reference}
    event = {"data": data, "event": {"type": "string"}, "id": {"type": "string"}}
    one = {"type": "object", "properties": event, "required": ["data"]}
    return {"text/event-stream": {"itemSchema": one}}


def streamable(shape: str | None = None) -> Responses:
    """Of routes whose text may be asked for as a stream."""
    return {200: {**OF_ONE_VERSION[200], "content": sent_events(shape)}}
