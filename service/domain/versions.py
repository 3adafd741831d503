"""The log: an append-only list of versions, and what it says is active.

The state of the model at a version is a function of the list of batches active there, each with or
without some of its edits. So every change of the log, be it a rollback of one edit, of one batch,
of many, or a restore, is one question: which list shall be active? `replay_base` finds how much of
the answer the log already holds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar


class VersionKind(StrEnum):
    BASE = "base"  # version 0, the unedited model
    APPLY = "apply"  # appends one batch
    ROLLBACK = "rollback"  # takes batches out, or single edits out of theirs
    RESTORE = "restore"  # appends a rolled-back batch again, or makes an active one whole
    REPAIR = "repair"  # inserts all active batches anew, by the rule that batches have today


@dataclass(frozen=True)
class Version:
    """One row of the log.

    Its state is the state of version `parent` with the rows of `artifact` written over it; no
    artifact means the very state of `parent`.
    """

    version: int
    kind: VersionKind
    batch_ids: tuple[int, ...]  # the batches that this version added or took out
    parent: int | None  # None for version 0
    artifact: str | None  # sha256
    checksum: str  # sha256 of the whole state
    actor: str
    reason: str | None
    created_at: datetime
    edit_ids: tuple[int, ...] = ()  # the edits that it took out, or put back, one by one


@dataclass(frozen=True)
class ActiveBatch:
    """A batch at work."""

    id: int
    without: frozenset[int] = frozenset()  # those of its edits that were taken out one by one
    repaired: bool = False  # it is inserted by today's rule, whatever it was made by


Active = tuple[ActiveBatch, ...]  # in the order in which they build on each other


def active_batches(
    log: Sequence[Version], batch_of: Mapping[int, int]
) -> Iterator[tuple[Sequence[ActiveBatch], int]]:
    """For each version of `log` (version 0 first, none missing), the active batches in order, and
    how many of the first of them are those of the version before. It is one list that changes from
    version to version, so that long logs take no more memory than their last version: copy what
    shall last. `batch_of` names the batch of every edit in the versions' `edit_ids`.
    """
    last_return = {v.parent: v.version for v in log if _returns(v)}
    kept: dict[int | None, Active] = {}
    active: list[ActiveBatch] = []
    for version in log:
        if _returns(version):
            active[:] = kept[version.parent]
            unchanged = 0
            if last_return[version.parent] == version.version:
                del kept[version.parent]
        else:
            unchanged = _change(active, version, batch_of)
        if version.version in last_return:
            kept[version.version] = tuple(active)
        yield active, unchanged


def active_now(log: Sequence[Version], batch_of: Mapping[int, int]) -> Active:
    """The last of `active_batches`, without all the others."""
    active: list[ActiveBatch] = []
    for version in steps_to_last(log):
        _change(active, version, batch_of)
    return tuple(active)


class Step(Protocol):
    """What leads from a version back to those that it came from."""

    @property
    def parent(self) -> int | None: ...

    @property
    def artifact(self) -> str | None: ...


S = TypeVar("S", bound=Step)


def steps_to_last(log: Sequence[S]) -> list[S]:
    """The versions, oldest first, whose changes made the list of batches that is active at the last
    one: what comes before a version that is the very state of its parent does not count.
    """
    steps, number = [], len(log) - 1
    while number >= 0:
        version = log[number]
        # A parent that comes later is a fault of the log, and leads nowhere.
        if version.artifact is None and version.parent is not None and version.parent < number:
            number = version.parent
        else:
            steps.append(version)
            number -= 1
    return steps[::-1]


def replay_base(
    log: Sequence[Version], batch_of: Mapping[int, int], wanted: Active
) -> tuple[int, Active]:
    """Returns the latest version whose active batches are the longest beginning of `wanted`, and
    the batches that remain to be replayed on it (none: that version's state is the answer).
    """
    best = best_length = common = 0
    for version, (active, unchanged) in enumerate(active_batches(log, batch_of)):
        common = min(common, unchanged)
        while common < min(len(active), len(wanted)) and active[common] == wanted[common]:
            common += 1
        if common == len(active) >= best_length:
            best, best_length = version, common
    return best, wanted[best_length:]


def repaired(active: Sequence[ActiveBatch]) -> Active:
    """The same batches, inserted by today's rule."""
    return tuple(replace(batch, repaired=True) for batch in active)


def restored(batch_id: int, active: Sequence[ActiveBatch]) -> ActiveBatch:
    """A batch, whole, that comes after those `active`: repaired where they are."""
    return ActiveBatch(batch_id, repaired=any(batch.repaired for batch in active))


def _returns(version: Version) -> bool:
    """It is the very state of its parent."""
    return version.parent is not None and version.artifact is None


def _change(active: list[ActiveBatch], version: Version, batch_of: Mapping[int, int]) -> int:
    """Adds or takes out what `version` names, which returns to no other; returns how many of the
    first batches stay as they are.
    """
    if version.kind is VersionKind.REPAIR:
        unchanged = next((i for i, b in enumerate(active) if not b.repaired), len(active))
        active[unchanged:] = repaired(active[unchanged:])
        return unchanged
    named: defaultdict[int, set[int]] = defaultdict(set)
    for edit in version.edit_ids:
        named[batch_of[edit]].add(edit)
    rolls_back = version.kind is VersionKind.ROLLBACK
    gone = set(version.batch_ids) if rolls_back else set()
    unchanged = len(active)
    if touched := gone | named.keys():
        unchanged = next((i for i, batch in enumerate(active) if batch.id in touched), unchanged)
        active[unchanged:] = [
            _changed(batch, named[batch.id], rolls_back) if batch.id in named else batch
            for batch in active[unchanged:]
            if batch.id not in gone
        ]
    if not rolls_back:
        active += [restored(batch, active) for batch in version.batch_ids]
    return unchanged


def _changed(batch: ActiveBatch, edits: set[int], rolls_back: bool) -> ActiveBatch:
    without = batch.without | edits if rolls_back else batch.without - edits
    return replace(batch, without=without)
