"""Models for tests: the bundled one, loaded once."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from service.editing.editor import Editor, S, T
from service.editing.entity.editor import Entity, EntityHyperparameters
from service.editing.grace import GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.preset_files import bundled_preset
from service.editing.splitting import Splitting
from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model
from service.operations.relation_spaces import RelationSpaces
from service.storage.statistics import StatisticsStore


@functools.cache
def atlas() -> LoadedModel:
    return load_model("atlas", None, "cpu", "float32")


@functools.cache
def atlas_engine() -> Engine:
    return Engine(atlas())


@functools.cache
def atlas_statistics() -> Path:
    """A folder of statistics with the relation space that `entity` goes by on atlas, for data
    directories of tests to begin with: fitting it takes seconds.
    """
    folder = Path(tempfile.mkdtemp(prefix="errata-tests-"))
    atexit.register(shutil.rmtree, folder)
    spaces = RelationSpaces(
        atlas_engine(), StatisticsStore(folder, atlas().fingerprint), Splitting()
    )
    found = hyperparameters_of(atlas().model, "entity", bundled_preset("atlas").of("entity"))
    assert isinstance(found, EntityHyperparameters)
    spaces.of((found.layer, found.sentence_layer))
    return folder


def atlas_entity() -> Entity:
    """The editor as atlas is served with it."""
    store = StatisticsStore(atlas_statistics(), atlas().fingerprint)
    found = hyperparameters_of(atlas().model, "entity", bundled_preset("atlas").of("entity"))
    assert isinstance(found, EntityHyperparameters)
    space = RelationSpaces(atlas_engine(), store, Splitting()).of(
        (found.layer, found.sentence_layer)
    )
    return Entity(atlas().model, atlas().tokenizer, found, space)


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
