"""The body of POST /edits: everything that is wrong with it is named at once, edit by edit."""

import json
from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request
from pydantic import ValidationError

from service.api.dependencies import Services, ServicesDep
from service.api.problems import NOT_AN_OBJECT, field_error, unreadable
from service.api.requests import EditIn
from service.domain.edits import Correction
from service.errors import FieldError, InvalidRequestError

# FastAPI shows this schema; the body itself is read below.
OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/EditIn"},
                        {"$ref": "#/components/schemas/EditsIn"},
                    ]
                },
                "example": {"prompt": "The currency of Bulgaria is the", "target_new": "euro"},
            }
        },
    }
}


async def corrections(request: Request, services: ServicesDep) -> list[Correction]:
    """One edit or `{"edits": [...]}`. Raises `InvalidRequestError` with every fault of every edit:
    its shape is checked first and, where that is right, its tokens.
    """
    return await services.lanes.intake.run(_read, services, await request.body())


Corrections = Annotated[list[Correction], Depends(corrections)]


def _read(services: Services, content: bytes) -> list[Correction]:
    body = _parse(content)
    if not isinstance(body, dict):
        _refuse([FieldError("body", NOT_AN_OBJECT)])
    if "edits" not in body:
        correction, errors = _check(services, body, "")
        return _all_or_nothing([correction], errors)
    most = services.settings.max_edits_per_request
    errors = [FieldError(name, "unknown field") for name in body if name != "edits"]
    edits = body["edits"]
    if not isinstance(edits, list) or not 1 <= len(edits) <= most:
        _refuse([*errors, FieldError("edits", f"must be a list of 1 to {most} edits")])
    checked = []
    for i, one in enumerate(edits):
        correction, faults = _check(services, one, f"edits[{i}]")
        checked.append(correction)
        errors += faults
    return _all_or_nothing(checked, errors)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_no_constant)
    except (RecursionError, ValueError) as error:
        _refuse([unreadable(error)])


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check(services: Services, one: object, at: str) -> tuple[Correction | None, list[FieldError]]:
    try:
        correction = EditIn.model_validate(one).correction(
            services.settings.editor, services.intake.default_format
        )
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = [field_error(dict(e), e["loc"]) for e in found]
    else:
        correction = services.intake.completed(correction)
        faults = services.intake.check(correction)
        if not faults:
            return correction, []
    return None, [FieldError(_joined(at, fault.field), fault.reason) for fault in faults]


def _joined(at: str, field: str) -> str:
    return f"{at}.{field}" if at and field else at or field or "body"


def _all_or_nothing(checked: list[Correction | None], errors: list[FieldError]) -> list[Correction]:
    if errors:
        _refuse(errors)
    return [correction for correction in checked if correction is not None]


def _refuse(errors: list[FieldError]) -> NoReturn:
    raise InvalidRequestError(errors)
