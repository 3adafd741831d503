"""What a start looks at before it serves a log: every artifact, without the states they make."""

from service.editing.outlines import Outline
from service.errors import StartupError
from service.operations.reading import Owner, Reading
from service.storage.log import Log


def check_artifacts(log: Log, reading: Reading) -> None:
    """Raises `LogCorruptError`, `UnsoundArtifactError`, and `StartupError` for a version that is
    made over none before it.
    """
    batches = log.named_by_batches()
    edits_of = {batch_id: batch.edit_ids for batch_id, batch in batches.items()}
    outlines: dict[int, Outline] = {}
    read = set()
    for version in log.versions():
        outline: Outline = None
        if version.version:
            if version.parent not in outlines:
                raise StartupError(
                    f"version {version.version}: its parent, version {version.parent}, is not "
                    "there before it. Restore the database from a backup."
                )
            outline = outlines[version.parent]
        if version.artifact is not None:
            owner = Owner.of_version(version, edits_of)
            change = reading.change(version.artifact, owner)
            with reading.of(version.artifact, owner):
                outline = change.outline(outline)
            read.add(version.artifact)
        outlines[version.version] = outline
    for batch_id, batch in batches.items():
        if batch.artifact not in read:
            reading.change(batch.artifact, Owner.of_batch(batch_id, batch.edit_ids))
