"""What an edit costs as batches and histories grow, on atlas."""

from collections.abc import Sequence

from rich.progress import Progress

from service.editing.editor import AnyEditor
from service.editing.grace import Grace
from service.editing.locate import LocateEditor
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest
from tests.bench import histories
from tests.bench.figure import Figure
from tests.bench.pace import paced
from tests.bench.workbench import Workbench, workbench

EDITS = 128  # the same for every figure, in batches of one size or another
SIZES = (1, 8, 32, 128)  # over no history
BATCH = 32  # over some history; over none it is the baseline
HISTORIES = (1_000, 10_000)  # edits that went before


def run(progress: Progress) -> list[Figure]:
    figures = []
    with workbench(progress) as bench:
        for name in ("grace", "coachhook"):
            editor = bench.editors.editor(name, {})
            requests = bench.requests(editor, EDITS)
            task = progress.add_task(f"growth, {name}", total=len(SIZES) + len(HISTORIES))
            costs: dict[tuple[int, int], float] = {}
            for size, edits in [*((s, 0) for s in SIZES), *((BATCH, h) for h in HISTORIES)]:
                state = _history(bench, editor, requests[0], edits) if edits else None
                costs[size, edits] = _cost(editor, state, requests, size)
                progress.advance(task)
            progress.remove_task(task)
            for (size, edits), cost in costs.items():
                what = f"{name}, batches of {size} after {edits:,} edits"
                figures.append(Figure("growth", what, cost, "ms/edit", costs[BATCH, 0]))
    return figures


def _cost(
    editor: AnyEditor, state: Overlay | None, requests: Sequence[EditRequest], size: int
) -> float:
    """Milliseconds per edit, of batches that all go into the same state."""
    # What a server adds up once, as its history grows, is added up here.
    paced(editor, state, requests[:1])
    starts = range(0, len(requests), size)
    paces = [paced(editor, state, requests[start : start + size]) for start in starts]
    return 1_000 * sum(pace.edit for pace in paces) / len(paces)


def _history(bench: Workbench, editor: AnyEditor, one: EditRequest, edits: int) -> Overlay:
    if isinstance(editor, Grace):
        (like,), _ = editor.targets(None, [one])
        return histories.codebook(editor.site, like.radius(0, editor.rule), like, edits)
    assert isinstance(editor, LocateEditor)
    return histories.hook_layers(bench.model, editor.hyperparameters, editor.empty().gate, edits)
