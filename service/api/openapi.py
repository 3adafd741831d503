"""The OpenAPI document: FastAPI's, with what it cannot see."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.constants import REF_TEMPLATE
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service.api.contract import REQUEST_ID
from service.api.failures import Problem
from service.api.openai.errors import is_openai
from service.api.requests import EditIn, EditsIn
from service.api.responses.events import EventOut
from service.api.responses.generated import PieceOut

BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
UNSEEN: list[tuple[type[BaseModel], JsonSchemaMode]] = [
    (Problem, "validation"),
    (EditIn, "validation"),
    (EditsIn, "validation"),
    (PieceOut, "serialization"),
    (EventOut, "serialization"),
]


def install(app: FastAPI) -> None:
    """Adds the shapes of problems, of events and of the body that `POST /edits` reads by itself;
    and to every answer the request's id.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()  # the same object every time
        if "Problem" not in document["components"]["schemas"]:
            _, extra = models_json_schema(UNSEEN, ref_template=REF_TEMPLATE)
            document["components"]["schemas"].update(extra["$defs"])
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, for a 422
                document["components"]["schemas"].pop(name)
            _write_whole_numbers(document)
            for path, operation in _operations(document):
                if is_openai(path):
                    operation["responses"].pop("422", None)  # FastAPI's; here it is a 400
                for parameter in operation.get("parameters", []):
                    _leave_out_null(parameter["schema"])
                for response in operation["responses"].values():
                    response["headers"] = {**REQUEST_ID, **response.get("headers", {})}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def _write_whole_numbers(node: Any) -> None:
    """FastAPI writes bounds as floats, and 2**63 is then 9.223372036854776e18: 192 more."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in BOUNDS and isinstance(value, float) and value.is_integer():
                node[name] = int(value)
            else:
                _write_whole_numbers(value)
    elif isinstance(node, list):
        for one in node:
            _write_whole_numbers(one)


def _leave_out_null(schema: dict[str, Any]) -> None:
    """A parameter that may be left out can't be sent as null: in a query that is a word."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]
