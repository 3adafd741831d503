"""Every editor's speed on a batch of atlas's counterfactual edits, against its plain loop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.progress import Progress

from service.editing.grace import Grace
from service.editing.locate import LocateEditor
from service.editing.methods import EDITORS, METHODS
from service.editing.requests import EditRequest
from tests.bench import plain_grace
from tests.bench.figure import Figure
from tests.bench.pace import Pace, paced
from tests.bench.plain_locate import PlainLocate
from tests.bench.workbench import Workbench, workbench

BATCH = 32
PLAIN_EDITS = 4  # of the batch, spread over it: a loop treats all edits alike
ROUNDS = 3  # of editor and loop in turn; the median counts


@dataclass(frozen=True)
class Wanted:
    """Least ratios to the plain loop, which knows no early stop."""

    all_steps: float | None = None
    early_stop: float | None = None


WANTED_EDITS = {"grace": Wanted(20, 50)}
WANTED_TARGETS = {"coachhook": Wanted(5, 10)}


def run(progress: Progress) -> list[Figure]:
    figures: list[Figure] = []
    with workbench(progress) as bench:
        task = progress.add_task("editors", total=len(EDITORS) * ROUNDS)
        for name in EDITORS:
            progress.update(task, description=f"{name} and its plain loop")
            rounds = []
            for _ in range(ROUNDS):
                rounds.append(_round(bench, name))
                progress.advance(task)
            figures += _figures(name, *map(Pace.middle, zip(*rounds, strict=True)))
        progress.remove_task(task)
    return figures


def _round(bench: Workbench, name: str) -> tuple[Pace, Pace, Pace]:
    """Of all steps, of early stop and of the plain loop."""
    stopping = bench.editors.editor(name, {})
    editor = bench.editors.editor(name, {"stop_loss": 0.0})
    requests = bench.requests(editor, BATCH)
    some = requests[:: BATCH // PLAIN_EDITS]
    return (
        paced(editor, None, requests),
        paced(stopping, None, requests),
        _plain(bench, editor, some),
    )


def _plain(bench: Workbench, editor: object, requests: Sequence[EditRequest]) -> Pace:
    if isinstance(editor, Grace):
        return plain_grace.pace(bench.model, editor.hyperparameters, requests)
    assert isinstance(editor, LocateEditor)
    parameters = editor.hyperparameters
    statistics = bench.statistics.of(parameters.layers)
    return PlainLocate(bench.model, METHODS[editor.name], parameters, statistics).pace(requests)


def _figures(name: str, all_steps: Pace, early_stop: Pace, plain: Pace) -> Iterator[Figure]:
    """Locate-and-edit's targets are told apart from the whole edit; GRACE's are the whole."""

    def figure(what: str, seconds: float, of_plain: float, wanted: float | None) -> Figure:
        return Figure("editors", f"{name}, {what}", 1 / seconds, "edits/s", 1 / of_plain, wanted)

    edits = WANTED_EDITS.get(name, Wanted())
    yield figure("all steps", all_steps.edit, plain.edit, edits.all_steps)
    yield figure("early stop", early_stop.edit, plain.edit, edits.early_stop)
    if name in METHODS:
        targets = WANTED_TARGETS.get(name, Wanted())
        yield figure("targets, all steps", all_steps.targets, plain.targets, targets.all_steps)
        yield figure("targets, early stop", early_stop.targets, plain.targets, targets.early_stop)
