"""The OpenAPI document: FastAPI's, with the shapes that it cannot see."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.constants import REF_TEMPLATE
from pydantic.json_schema import models_json_schema

from service.api.problems import Problem
from service.api.schemas import EditIn, EditsIn


def install(app: FastAPI) -> None:
    """Adds the shapes of problems and of the body that `POST /edits` reads by itself."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            models = [(model, "validation") for model in (Problem, EditIn, EditsIn)]
            _, extra = models_json_schema(models, ref_template=REF_TEMPLATE)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            schemas.update(extra["$defs"])
        return app.openapi_schema or document

    app.openapi = openapi
