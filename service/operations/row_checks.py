"""Whether the rows of a log agree with each other: numbers, parents, batches and edits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.states import BatchState, EditState
from service.domain.versions import VersionKind, steps_to_last
from service.editing.overlays import BASE_CHECKSUM
from service.storage.contents import OnFault, Rows
from service.storage.records import (
    BatchRecord,
    EditRecord,
    SnapshotRecord,
    StoreRecord,
    VersionRecord,
)

HELD = frozenset({EditState.APPLIED, EditState.ROLLED_BACK})
# One that a later batch corrects again may keep its batch.
NEVER_HELD = frozenset(EditState) - HELD - {EditState.SUPERSEDED}

# Told how many more rows were looked at.
Tick = Callable[[int], None]


@dataclass
class Outline:
    """What is kept of the rows: enough to check the artifacts, without the texts of edits and
    probes.
    """

    store: StoreRecord | None = None
    versions: list[VersionRecord] = field(default_factory=list)
    batches: dict[int, BatchRecord] = field(default_factory=dict)
    snapshots: dict[int, str] = field(default_factory=dict)  # artifacts by version
    edits: int = 0


def check_rows(rows: Rows, on_fault: OnFault, tick: Tick) -> Outline:
    """Tells `on_fault` of everything that is wrong, a line each."""
    outline = Outline()
    # One at most. What is not read to its end keeps a cursor of PostgreSQL's open.
    outline.store = next(iter([*rows.of(StoreRecord, on_fault)]), None)
    outline.versions = [
        version.model_copy(update={"changed_probes": None})
        for version in _ticked(rows.of(VersionRecord, on_fault), tick)
    ]
    outline.batches = {b.id: b for b in _ticked(rows.of(BatchRecord, on_fault), tick)}
    outline.snapshots = {
        snapshot.version: snapshot.artifact for snapshot in rows.of(SnapshotRecord, on_fault)
    }
    for fault in (*_versions(outline), *_snapshots(outline), *_batches(outline)):
        on_fault(fault)
    edits = _ticked(rows.of(EditRecord, on_fault), tick)
    for fault in _edits(outline, edits):
        on_fault(fault)
    return outline


def _ticked(found: Iterator[Any], tick: Tick) -> Iterator[Any]:
    for one in found:
        tick(1)
        yield one


def _versions(outline: Outline) -> Iterator[str]:
    if outline.versions and outline.store is None:
        yield "the log does not say which model it is of"
    expected = 0
    known: set[int] = set()
    for version in outline.versions:
        number = version.version
        if number > expected:
            missing = (
                f"version {expected} is"
                if number == expected + 1
                else (f"versions {expected} to {number - 1} are")
            )
            yield f"{missing} missing"
        expected = number + 1
        yield from _version(version, known, outline)
        known.add(number)
    if outline.store is not None and not outline.versions:
        yield "version 0 is missing"


def _version(version: VersionRecord, known: set[int], outline: Outline) -> Iterator[str]:
    name = f"version {version.version}"
    if version.version == 0:
        if version.kind is not VersionKind.BASE or version.checksum != BASE_CHECKSUM:
            yield f"{name} is not the base model"
        if version.parent is not None or version.artifact is not None:
            yield f"{name} has a parent or an artifact, and the base model has none"
        return
    if version.kind is VersionKind.BASE:
        yield f"{name} claims to be the base model"
    if version.parent is None:
        yield f"{name} has no parent"
    elif version.parent not in known:
        yield f"{name}: its parent, version {version.parent}, is not there before it"
    for batch in version.batch_ids:
        if batch not in outline.batches:
            yield f"{name} names batch {batch}, which is not there"
    if version.kind is VersionKind.APPLY and len(version.batch_ids) != 1:
        yield f"{name} applies {len(version.batch_ids)} batches, and not one"


def _snapshots(outline: Outline) -> Iterator[str]:
    known = {version.version for version in outline.versions}
    for version in outline.snapshots:
        if version not in known:
            yield f"there is a snapshot of version {version}, which is not there"


def _batches(outline: Outline) -> Iterator[str]:
    appliers = {v.version: v for v in outline.versions if v.kind is VersionKind.APPLY}
    active = _active(outline.versions)
    for batch in outline.batches.values():
        applier = appliers.get(batch.version)
        if applier is None or batch.id not in applier.batch_ids:
            yield f"batch {batch.id}: version {batch.version} did not apply it"
        if active is None or batch.id in active.doubtful:
            continue
        wanted = BatchState.APPLIED if batch.id in active.batches else BatchState.ROLLED_BACK
        if batch.status is not wanted:
            yield f"batch {batch.id} is {batch.status}, and by the versions it is {wanted}"


@dataclass(frozen=True)
class _Active:
    batches: frozenset[int]
    doubtful: frozenset[int]  # of which single edits were taken out or put back


def _active(versions: Sequence[VersionRecord]) -> _Active | None:
    """The batches at work at the last version; None where versions are missing."""
    if any(version.version != at for at, version in enumerate(versions)):
        return None
    batches: set[int] = set()
    for version in steps_to_last(versions):
        if version.kind is VersionKind.ROLLBACK:
            batches -= set(version.batch_ids)
        else:
            batches |= set(version.batch_ids)
    parts = [batch for v in versions if v.edit_ids for batch in v.batch_ids]
    return _Active(frozenset(batches), frozenset(parts))


def _edits(outline: Outline, edits: Iterator[EditRecord]) -> Iterator[str]:
    singly = {edit for version in outline.versions for edit in version.edit_ids}
    unseen = {(batch.id, edit) for batch in outline.batches.values() for edit in batch.edit_ids}
    missing = set(singly)
    for edit in edits:
        outline.edits += 1
        missing.discard(edit.id)
        yield from _edit(edit, outline, unseen, singly)
    for batch_id, edit_id in sorted(unseen):
        yield f"batch {batch_id} names edit {edit_id}, which is not there or not of it"
    for edit_id in sorted(missing):
        yield f"a version names edit {edit_id}, which is not there"


def _edit(
    edit: EditRecord, outline: Outline, unseen: set[tuple[int, int]], singly: set[int]
) -> Iterator[str]:
    name = f"edit {edit.id} is {edit.status}"
    if edit.batch_id is None:
        if edit.status in HELD:
            yield f"{name}, and of no batch"
        return
    if edit.status in NEVER_HELD:
        yield f"{name}, and of batch {edit.batch_id} all the same"
    batch = outline.batches.get(edit.batch_id)
    if batch is None:
        yield f"{name}, and its batch {edit.batch_id} is not there"
        return
    if (batch.id, edit.id) not in unseen:
        yield f"{name}, and its batch {batch.id} does not name it"
    unseen.discard((batch.id, edit.id))
    if edit.version != batch.version:
        yield f"{name} by version {edit.version}, and its batch by version {batch.version}"
    if edit.status is EditState.APPLIED and batch.status is not BatchState.APPLIED:
        yield f"{name}, and its batch {batch.id} is {batch.status}"
    by_itself = edit.id in singly
    if (
        edit.status is EditState.ROLLED_BACK
        and batch.status is BatchState.APPLIED
        and not by_itself
    ):
        yield f"{name}, and its batch {batch.id} is {batch.status}"
