"""`errata log verify`: is the log whole?"""

from dataclasses import asdict

import typer

from service.commands.local import opened, or_fail
from service.commands.output import Exit, JsonOption, out, print_json, visible
from service.commands.progress import progress_bar
from service.settings import load_settings


def verify(as_json: JsonOption = False) -> None:
    """Check this machine's log, without a server and without the model's weights.

    Every artifact is read and held against the model's configuration, every version's state is
    rebuilt and held against its checksum, and versions, batches and edits against each other.
    Artifacts that nothing names are listed, and no
    fault.
    """
    with or_fail():
        settings = load_settings()
        # torch takes seconds to import.
        from service.engine.loading import shape_named
        from service.operations.verification import Verification
        from service.storage.artifacts import ArtifactStore

        artifacts = ArtifactStore(settings.artifacts)
        shape = shape_named(settings.model, settings.revision, settings.device, settings.dtype)
    with opened(settings) as database, or_fail(), progress_bar("reading") as advance:
        verdict = Verification(artifacts, shape, advance).of(database)
    if as_json:
        print_json({"whole": verdict.whole, **asdict(verdict)})
    else:
        for fault in verdict.faults:
            out.print(visible(fault), soft_wrap=True)
        for orphan in verdict.orphans:
            out.print(f"nothing names artifact {orphan}", soft_wrap=True)
        out.print(
            f"{verdict.versions} versions, {verdict.batches} batches, {verdict.edits} edits, "
            f"{verdict.artifacts} artifacts: "
            + ("whole" if verdict.whole else f"{len(verdict.faults)} faults"),
            soft_wrap=True,
        )
    if not verdict.whole:
        raise typer.Exit(Exit.REFUSED)
