"""Models for tests: the bundled one, loaded once."""

import functools
from collections.abc import Sequence

from service.editing.editor import Editor, S, T
from service.editing.grace import GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.preset_files import bundled_preset
from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model


@functools.cache
def atlas() -> LoadedModel:
    return load_model("atlas", None, "cpu", "float32")


@functools.cache
def atlas_engine() -> Engine:
    return Engine(atlas())


def atlas_grace() -> GraceHyperparameters:
    """Those that atlas is served with."""
    found = hyperparameters_of(atlas().model, "grace", bundled_preset("atlas").of("grace"))
    assert isinstance(found, GraceHyperparameters)
    return found


def inserted(editor: Editor[S, T], state: S | None, targets: Sequence[T]) -> S:
    """The state with one target in it at least."""
    after = editor.insert(state, targets)
    assert after is not None
    return after
