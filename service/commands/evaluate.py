"""`errata evaluate`: how well edits do."""

import json
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from service.atlas import EDITS_FILE
from service.commands.child import own_server, peak_memory_mib
from service.commands.client import Client, client
from service.commands.output import Exit, fail, out
from service.commands.progress import progress_bar
from service.evaluation.datasets import DatasetError, Record, read_records
from service.evaluation.report import markdown
from service.evaluation.run import How, Report
from service.evaluation.run import evaluate as run
from service.settings import EditorName


def evaluate(
    dataset: Annotated[
        Path, typer.Option(help="Atlas's, CounterFact's or zsRE's form.", dir_okay=False)
    ] = EDITS_FILE,
    model: Annotated[str, typer.Option(help="As ERRATA_MODEL.")] = "atlas",
    editor: Annotated[EditorName, typer.Option(metavar="NAME", help="As ERRATA_EDITOR.")] = "grace",
    limit: Annotated[int, typer.Option(min=1, help="How many edits of the dataset.")] = 200,
    batch: Annotated[int, typer.Option(min=1, max=1_000, help="Edits applied together.")] = 32,
    every: Annotated[int, typer.Option(min=1, help="Batches between two ERR figures.")] = 4,
    given: Annotated[
        int,
        typer.Option(
            "--paraphrases", min=0, help="How many each edit brings; PS is of the others."
        ),
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.", dir_okay=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an evaluation with this --json stopped.")
    ] = False,
    running: Annotated[
        bool, typer.Option("--server", help="Use the server at ERRATA_URL, which must be empty.")
    ] = False,
) -> None:
    """Run an edit set through an editor and report ES, PS, NS, ERR and TRR as a Markdown table.

    A server of its own serves the evaluation, unless --server is given.
    """
    if json_file is not None and not json_file.parent.is_dir():
        # Not after hours of edits.
        fail(f"there is no folder {json_file.parent}", Exit.REFUSED)
    try:
        records = read_records(dataset, limit)
    except DatasetError as error:
        fail(str(error), Exit.REFUSED)
    how = How(batch, every, given)
    if running:
        with client() as server:
            if not resume and server.get("/edits", limit=1)["edits"]:
                fail("the server at ERRATA_URL has edits already", Exit.REFUSED)
            report = _run(server, records, how)
    else:
        report = _alone(records, model, editor, how, json_file, resume)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=2) + "\n")
    out.print(markdown(report), soft_wrap=True)


def _alone(
    records: list[Record],
    model: str,
    editor: str,
    how: How,
    json_file: Path | None,
    resume: bool,
) -> Report:
    """With a server whose log lies beside the JSON file, so that it can be gone on with."""
    store = None if json_file is None else json_file.with_suffix(".store")
    if resume and store is None:
        raise typer.BadParameter("--resume goes with --json")
    if store is not None and store.exists() and not resume:
        fail(f"{store} is there from an earlier evaluation: --resume it or remove it", Exit.REFUSED)
    folder = tempfile.TemporaryDirectory() if store is None else nullcontext(str(store))
    settings = {"ERRATA_MODEL": model, "ERRATA_EDITOR": editor, "ERRATA_MAX_BATCH": str(how.batch)}
    with folder as data_dir, own_server(Path(data_dir), **settings) as server:
        report = _run(server, records, how)
    return replace(report, peak_memory_mib=peak_memory_mib())


def _run(server: Client, records: list[Record], how: How) -> Report:
    with progress_bar("starting") as advance:
        return run(server, records, how, advance)
