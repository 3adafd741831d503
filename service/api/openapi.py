"""The OpenAPI document: FastAPI's, with the shapes that it cannot see."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.constants import REF_TEMPLATE
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from service.api.problems import Problem
from service.api.requests import EditIn, EditsIn


def install(app: FastAPI) -> None:
    """Adds the shapes of problems and of the body that `POST /edits` reads by itself."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()  # the same object every time
        if "Problem" not in document["components"]["schemas"]:
            models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
                (model, "validation") for model in (Problem, EditIn, EditsIn)
            ]
            _, extra = models_json_schema(models, ref_template=REF_TEMPLATE)
            document["components"]["schemas"].update(extra["$defs"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents
