"""Checks a whole log, without weights: rows, artifacts, and the state of every version."""

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.progress import Advance
from service.editing.model_shape import ModelShape
from service.operations.artifact_checks import ArtifactChecks
from service.operations.reading import Reading, Source
from service.operations.row_checks import Outline, check_rows
from service.storage.contents import Rows, contents
from service.storage.database import Database
from service.storage.records import BatchRecord, EditRecord, VersionRecord


@dataclass(frozen=True)
class Verdict:
    versions: int
    batches: int
    edits: int
    artifacts: int  # that the log names
    faults: tuple[str, ...]  # a line each
    orphans: tuple[str, ...]  # artifacts that nobody names

    @property
    def whole(self) -> bool:
        return not self.faults


class Verification:
    """Rows first, then artifacts: no database waits for a disk."""

    def __init__(self, artifacts: Source, shape: ModelShape, advance: Advance) -> None:
        self._artifacts = artifacts
        self._reading = Reading(artifacts, shape)
        self._advance = advance
        self.faults: list[str] = []  # so far
        self._done = 0
        self._total = 0

    def of(self, database: Database) -> Verdict:
        with contents(database) as rows:
            outline = self.check_rows(rows)
        return self.check_artifacts(outline)

    def check_rows(self, rows: Rows) -> Outline:
        versions, batches = rows.count(VersionRecord), rows.count(BatchRecord)
        self._total = 2 * (versions + batches) + rows.count(EditRecord)
        return check_rows(rows, self.faults.append, self._tick("rows"))

    def check_artifacts(self, outline: Outline) -> Verdict:
        ArtifactChecks(outline, self._reading, self.faults.append, self._tick("versions")).run()
        named = named_by(outline)
        return Verdict(
            versions=len(outline.versions),
            batches=len(outline.batches),
            edits=outline.edits,
            artifacts=len(named),
            faults=tuple(self.faults),
            orphans=tuple(sorted(self._artifacts.sizes().keys() - named)),
        )

    def _tick(self, what: str) -> Callable[[int], None]:
        def tick(more: int) -> None:
            self._done += more
            self._advance(what, self._done, self._total)

        return tick


def named_by(outline: Outline) -> set[str]:
    """The artifacts of a log."""
    versions = {version.artifact for version in outline.versions if version.artifact is not None}
    batches = {batch.artifact for batch in outline.batches.values()}
    return versions | batches | set(outline.snapshots.values())
