"""Models for tests: the bundled one, loaded once."""

import functools

from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model


@functools.cache
def atlas() -> LoadedModel:
    return load_model("atlas", None, "cpu", "float32")


@functools.cache
def atlas_engine() -> Engine:
    return Engine(atlas())
