"""Atlas with all its editors, and its counterfactual edits: what speed is measured on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress
from transformers import PreTrainedModel

from service.app import build_editors, load
from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from service.domain.edits import Correction
from service.editing.editor import AnyEditor
from service.editing.methods import METHODS
from service.editing.requests import EditRequest
from service.engine.engine import Engine
from service.engine.loading import LoadedModel
from service.operations.editors import Editors
from service.operations.statistics import Statistics
from service.operations.wording import Wording
from service.settings import Settings


@dataclass(frozen=True)
class Workbench:
    engine: Engine
    editors: Editors
    statistics: Statistics

    @property
    def model(self) -> PreTrainedModel:
        return self.loaded.model

    @property
    def loaded(self) -> LoadedModel:
        return self.engine.loaded

    def requests(self, editor: AnyEditor, count: int) -> list[EditRequest]:
        """The first edits of atlas's evaluation set, as `editor` takes them."""
        corrections = [
            Correction(r["prompt"], r["target_new"], editor.name, r["subject"])
            for r in read_edits(EDITS_FILE)[:count]
        ]
        tokenizer = self.loaded.tokenizer
        worded = Wording(self.engine).phrasings(corrections)
        return [
            editor.request(tokenizer, i, correction, one.phrasings)
            for i, (correction, one) in enumerate(zip(corrections, worded, strict=True))
        ]


@contextmanager
def workbench(progress: Progress) -> Iterator[Workbench]:
    """Statistics and context templates are made here, of the model's own text."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model="atlas", data_dir=Path(folder), dtype="float32")
        engine = Engine(load(settings))
        editors, statistics = build_editors(settings, engine)
        task = progress.add_task("statistics", total=None)

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        statistics.of(sorted({n for name in METHODS for n in editors.layers(name)}), advance)
        progress.remove_task(task)
        yield Workbench(engine, editors, statistics)
