"""Takes an exported log in, where none is."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

from service.domain.progress import Advance
from service.editing.model_shape import ModelShape
from service.errors import ArchiveError
from service.operations.row_checks import Outline
from service.operations.verification import Verdict, Verification, named_by
from service.storage.archive import Archive, Archived
from service.storage.artifacts import SUFFIX, ArtifactStore
from service.storage.database import Database
from service.storage.filling import check_empty, fill
from service.storage.log import Log
from service.storage.manifest import Manifest
from service.storage.records import TABLES, StoreRecord

LAST = datetime.max.replace(tzinfo=UTC)


def import_log(
    archive: Archive,
    database: Database,
    artifacts: ArtifactStore,
    shape: ModelShape,
    advance: Advance,
) -> Verdict:
    """Looks at everything in the archive first, then writes: artifacts first, rows in one
    transaction last. An import that is killed in between leaves an empty log, and can be made
    again; one that fails takes its artifacts back.

    Raises `ArchiveError` if there is a log already, or the archive is not whole by everything that
    `Verification` looks at, for a model of this `shape`.
    """
    check_empty(database, archive.manifest)
    verification = Verification(Archived(archive), shape, advance)
    outline = verification.check_rows(archive)
    _check_manifest(archive, outline, verification.faults)
    _refuse_any(verification.faults)
    verdict = verification.check_artifacts(outline)
    _refuse_any(verdict.faults)

    total, done = sum(archive.count(kind) for kind in TABLES), 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        advance("rows", done, total)

    with _all_or_nothing(archive, database, artifacts):
        for stored, name in enumerate(archive.manifest.artifacts, 1):
            artifacts.put(archive.artifact(name))
            advance("artifacts", stored, len(archive.manifest.artifacts))
        artifacts.leave(Log(database).identity)  # an empty one's, in whose place this one comes
        fill(database, archive, archive.manifest, tick)
    return verdict


@contextlib.contextmanager
def _all_or_nothing(
    archive: Archive, database: Database, artifacts: ArtifactStore
) -> Iterator[None]:
    """Artifacts that were not there before go again if the block fails, unless rows name them."""
    before = artifacts.sizes()
    try:
        yield
    except BaseException:
        # A commit may have gone through and be reported to have failed.
        with contextlib.suppress(Exception):
            check_empty(database, archive.manifest)
            for name in archive.manifest.artifacts:
                if name not in before:
                    artifacts.remove(name + SUFFIX, LAST)
        raise


def _check_manifest(archive: Archive, outline: Outline, faults: list[str]) -> None:
    manifest = archive.manifest
    store = outline.store
    if store is None or not outline.versions:
        faults.append("it holds no log")
    elif _made_for(store) != _made_for(manifest):
        faults.append("its manifest and its rows are of different models")
    if set(manifest.artifacts) != named_by(outline):
        faults.append("its artifacts are not those that its rows name")


def _made_for(source: StoreRecord | Manifest) -> tuple[str, str, str | None]:
    return source.model, source.fingerprint, source.chat_template


def _refuse_any(faults: "list[str] | tuple[str, ...]") -> None:
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise ArchiveError(f"the archive is not whole: {faults[0]}{more}")
