"""`errata log export` and `import`: a whole log as one file."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.local import opened, or_fail
from service.commands.output import JsonOption, out, print_json
from service.commands.progress import progress_bar
from service.commands.serve import alone
from service.settings import load_settings

File = Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="A tar file.")]


def export(file: File, as_json: JsonOption = False) -> None:
    """Write this machine's log to FILE, also while a server is at work.

    The file holds all versions, batches, edits and artifacts as they are at one moment, but no API
    keys.
    """
    with or_fail():
        settings = load_settings()
        # torch takes seconds to import.
        from service.operations.log_export import LogExport
        from service.storage.artifacts import ArtifactStore

        artifacts = ArtifactStore(settings.artifacts)
    with opened(settings) as database, or_fail(), progress_bar("rows") as advance:
        manifest = LogExport(database, artifacts, advance).to(file)
    if as_json:
        print_json(manifest.model_dump(mode="json"))
    else:
        counts = manifest.counts
        out.print(
            f"{counts['versions']} versions, {counts['batches']} batches, {counts['edits']} edits, "
            f"{len(manifest.artifacts)} artifacts of '{manifest.model}'",
            soft_wrap=True,
        )


def import_(file: File, as_json: JsonOption = False) -> None:
    """Take the log in FILE in, where there is none yet.

    It is checked as `errata log verify` does, against the model that ERRATA_MODEL names; a server
    of that model then serves it.
    """
    with or_fail():
        settings = load_settings()
        from service.engine.loading import shape_named
        from service.operations.log_import import import_log
        from service.storage.archive import Archive
        from service.storage.artifacts import ArtifactStore

        with alone(settings), file.open("rb") as opened_file:
            archive = Archive(opened_file)
            artifacts = ArtifactStore(settings.artifacts)
            shape = shape_named(settings.model, settings.revision, settings.device, settings.dtype)
            with opened(settings) as database, progress_bar("rows") as advance:
                verdict = import_log(archive, database, artifacts, shape, advance)
    counts = {
        name: getattr(verdict, name) for name in ("versions", "batches", "edits", "artifacts")
    }
    if as_json:
        print_json(counts)
    else:
        out.print(", ".join(f"{number} {name}" for name, number in counts.items()), soft_wrap=True)
