"""Names of models: the served one's is its current version, and `name@7` its version 7."""

import re

from service.api.dependencies import Services
from service.api.openai.responses import ModelOut
from service.domain.versions import Version
from service.errors import NotFoundError, UnknownModelError
from service.operations.overlays import Pinned

# As a number is written, and no larger than ids are.
NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
MOST_LISTED = 100  # versions


def version_of(model: str, served: str) -> int | None:
    """None is the current one. Raises `UnknownModelError`."""
    if model == served:
        return None
    name, _, number = model.rpartition("@")
    if name != served or not NUMBER.fullmatch(number):
        raise UnknownModelError(model)
    return int(number)


def pinned(services: Services, model: str) -> Pinned:
    """What answers for this model. Raises `UnknownModelError`."""
    version = version_of(model, services.engine.loaded.name)
    try:
        return services.overlays.at(version)
    except NotFoundError:
        raise UnknownModelError(model) from None


def named(services: Services, model: str) -> ModelOut:
    """Raises `UnknownModelError`."""
    number = version_of(model, services.engine.loaded.name)
    try:
        current = services.overlays.current.version if number is None else number
        return _model(model, services.insights.version(current))
    except NotFoundError:
        raise UnknownModelError(model) from None


def listed(services: Services) -> list[ModelOut]:
    name, current = services.engine.loaded.name, services.overlays.current.version
    before = max(current - MOST_LISTED, -1)
    versions = services.insights.versions(after=before, limit=current - before)[::-1]
    return [
        _model(name, versions[0]),
        *(_model(f"{name}@{version.version}", version) for version in versions),
    ]


def _model(name: str, version: Version) -> ModelOut:
    return ModelOut(id=name, created=int(version.created_at.timestamp()))
