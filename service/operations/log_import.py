"""Takes an exported log in, where none is."""

from service.domain.progress import Advance
from service.errors import ArchiveError
from service.operations.row_checks import Outline
from service.operations.verification import Verdict, Verification, named_by
from service.storage.archive import Archive
from service.storage.artifacts import ArtifactStore
from service.storage.database import Database
from service.storage.filling import check_empty, fill
from service.storage.log import Log
from service.storage.manifest import Manifest
from service.storage.records import TABLES, StoreRecord


def import_log(
    archive: Archive, database: Database, artifacts: ArtifactStore, advance: Advance
) -> Verdict:
    """Artifacts first, rows in one transaction last: an import that ends in between leaves an empty
    log, and can be made again.

    Raises `ArchiveError` if there is a log already, or the archive is not whole by everything that
    `Verification` looks at.
    """
    check_empty(database, archive.manifest)
    verification = Verification(artifacts, advance)
    outline = verification.check_rows(archive)
    _check_manifest(archive, outline, verification.faults)
    _refuse_any(verification.faults)
    for done, name in enumerate(archive.manifest.artifacts, 1):
        artifacts.put(archive.artifact(name))
        advance("artifacts", done, len(archive.manifest.artifacts))
    verdict = verification.check_artifacts(outline)
    _refuse_any(verdict.faults)

    total, done = sum(archive.count(kind) for kind in TABLES), 0

    def tick(more: int) -> None:
        nonlocal done
        done += more
        advance("rows", done, total)

    artifacts.leave(Log(database).identity)  # an empty one's, in whose place this one comes
    fill(database, archive, archive.manifest, tick)
    return verdict


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
