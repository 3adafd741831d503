"""`errata evaluate`: how well edits do."""

import json
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from service.atlas import EDITS_FILE
from service.commands import evaluation_store
from service.commands.child import own_server, peak_memory_mib
from service.commands.client import Client, client
from service.commands.edit_sets import FORMS, SkipBadOption, edit_set, subject_for
from service.commands.local import or_fail
from service.commands.output import Exit, fail, out
from service.commands.progress import progress_bar
from service.evaluation.datasets import Record
from service.evaluation.report import markdown
from service.evaluation.run import AT_ONCE, How, Report
from service.evaluation.run import evaluate as run
from service.settings import EditorName, load_settings

MOST_AT_ONCE = 1_000  # edits of one request


def evaluate(
    dataset: Annotated[Path, typer.Option(help=FORMS, dir_okay=False)] = EDITS_FILE,
    model: Annotated[str | None, typer.Option(help="Default: ERRATA_MODEL.")] = None,
    editor: Annotated[
        EditorName | None, typer.Option(metavar="NAME", help="Default: ERRATA_EDITOR.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many edits of the dataset.")] = 200,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_AT_ONCE, help="Edits applied together; default: ERRATA_MAX_BATCH."
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Batches between two ERR figures.")] = 4,
    given: Annotated[
        int,
        typer.Option(
            "--paraphrases", min=0, help="How many each edit brings; PS is of the others."
        ),
    ] = 0,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Where to write the figures; the log lies beside it.", dir_okay=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an evaluation with this --json stopped.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Remove the log of an evaluation with this --json first."),
    ] = False,
    at_once: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="Questions under way together; fewer where the server takes no more of a key.",
        ),
    ] = AT_ONCE,
    skip_bad: SkipBadOption = False,
    running: Annotated[
        bool, typer.Option("--server", help="Use the server at ERRATA_URL, which must be empty.")
    ] = False,
) -> None:
    """Run an edit set through an editor and report ES, PS, NS, ERR, TRR and H as a Markdown table.

    A server of its own serves the evaluation, with the settings that `errata serve --help` lists,
    unless --server is given.
    """
    if json_file is not None and not json_file.parent.is_dir():
        # Not after hours of edits.
        fail(f"there is no folder {json_file.parent}", Exit.REFUSED)
    if running and (model or editor or fresh):
        raise typer.BadParameter("a server that is there has its --model, --editor and log")
    if not running and json_file is None and (resume or fresh):
        raise typer.BadParameter("--resume and --fresh go with --json")
    if resume and fresh:
        raise typer.BadParameter("--resume goes on, --fresh begins anew: give one of them")
    chosen = {"model": model, "editor": editor, "max_batch": batch}
    with or_fail():
        settings = load_settings(**{k: v for k, v in chosen.items() if v is not None})
    how = How(min(settings.max_batch, MOST_AT_ONCE), every, given, at_once)

    def records(editor_name: str) -> list[Record]:
        """Those to be edited, and as many others behind them."""
        subject = subject_for(editor_name)
        return edit_set(
            dataset, skip_bad=skip_bad, subject=subject, beyond="not measured", limit=2 * limit
        ).records

    if running:
        with client() as server:
            if not resume and server.get("/edits", limit=1)["edits"]:
                fail(
                    "the server at ERRATA_URL has edits already; --resume goes on with them",
                    Exit.REFUSED,
                )
            report = _run(server, records(server.get("/version")["editor"]), limit, how)
    else:
        store = None if json_file is None else json_file.with_suffix(".store")
        found = records(settings.editor)
        if store is not None:
            about = {
                "model": settings.model,
                "editor": settings.editor,
                "dataset": dataset.name,
                "paraphrases": str(given),
            }
            with or_fail():
                evaluation_store.prepare(store, about, resume=resume, fresh=fresh)
        report = _alone(found, limit, how, store, model=model, editor=editor)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=2) + "\n")
    out.print(markdown(report), soft_wrap=True)


def _alone(
    records: list[Record], limit: int, how: How, store: Path | None, **chosen: Any
) -> Report:
    """Evaluates on a server whose log lies in `store`. Settings that are not `chosen` are the
    environment's.
    """
    folder = tempfile.TemporaryDirectory() if store is None else nullcontext(str(store))
    settings = {f"ERRATA_{name.upper()}": value for name, value in chosen.items() if value}
    settings["ERRATA_MAX_BATCH"] = str(how.batch)
    with folder as data_dir, own_server(Path(data_dir), **settings) as server:
        report = _run(server, records, limit, how)
    return replace(report, peak_memory_mib=peak_memory_mib())


def _run(server: Client, records: list[Record], limit: int, how: How) -> Report:
    with progress_bar("starting") as advance:
        return run(server, records[:limit], how, advance, beside=records[limit:])
