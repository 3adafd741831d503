"""Which hyperparameters serve a model best: a grid of them, tried on facts that the model knows."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.edits import Correction
from service.editing.editor import AnyEditor
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.evaluation.asking import figures_of
from service.evaluation.datasets import Record
from service.evaluation.figures import Figures, harmonic_mean
from service.operations.wording import Wording


@dataclass(frozen=True)
class Trial:
    """One point of the grid."""

    hyperparameters: dict[str, Any]  # those of the grid
    figures: Figures
    score: float  # harmonic mean of ES, PS and NS, as Meng et al. 2022 rank editors
    seconds: float


def grid(options: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of one value for each name."""
    return [
        dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())
    ]


def trial(
    engine: Engine,
    editor: AnyEditor,
    hyperparameters: Mapping[str, Any],
    records: Sequence[Record],
    batch: int,
    given: int = 0,
) -> Trial:
    """Edits all `records` in consecutive batches, each with `given` of its paraphrases, and asks at
    the end.
    """
    started = time.perf_counter()
    state: Overlay | None = None
    wording = Wording(engine)
    for start in range(0, len(records), batch):
        some = [_correction(r, editor.name, given) for r in records[start : start + batch]]
        requests = [
            editor.request(engine.loaded.tokenizer, number, correction, worded.phrasings)
            for number, (correction, worded) in enumerate(
                zip(some, wording.phrasings(some), strict=True), start
            )
        ]
        targets, _ = editor.targets(state, requests)
        state = editor.insert(state, targets)
    found = figures_of(engine, engine.place(state), records, given)
    seconds = time.perf_counter() - started
    return Trial(dict(hyperparameters), found, harmonic(found), seconds)


def harmonic(found: Figures) -> float:
    """The harmonic mean of ES, PS and NS, of those that there are."""
    return harmonic_mean((found.efficacy, found.paraphrase, found.neighborhood))


def trial_from(found: Mapping[str, Any]) -> Trial:
    """The inverse of `dataclasses.asdict`."""
    return Trial(**{**found, "figures": Figures(**found["figures"])})


def run(
    points: Sequence[dict[str, Any]],
    done: Sequence[Trial],
    try_one: Callable[[dict[str, Any]], Trial],
) -> Iterator[Trial]:
    """The trials of `points`, those that were `done` before among them."""
    tried = {repr(sorted(one.hyperparameters.items())): one for one in done}
    for point in points:
        yield tried.get(repr(sorted(point.items()))) or try_one(point)


def _correction(record: Record, editor: str, given: int) -> Correction:
    return Correction(
        record.prompt,
        record.target_new,
        editor,
        subject=record.span,
        paraphrases=record.paraphrases[:given],
    )
