"""The log: an append-only list of versions, and what it says is active.

The state of the model at a version is a function of the list of batches active there. So every
change of the log, be it a rollback of one batch, of many, or a restore, is one question: which list
of batches shall be active? `replay_base` finds how much of the answer the log already holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class VersionKind(StrEnum):
    BASE = "base"  # version 0, the unedited model
    APPLY = "apply"  # appends one batch
    ROLLBACK = "rollback"  # takes batches out
    RESTORE = "restore"  # appends a rolled-back batch again


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


def active_batches(log: Sequence[Version]) -> list[tuple[int, ...]]:
    """For each version of `log` (version 0 first, none missing), the active batches in order."""
    active: list[tuple[int, ...]] = []
    for version in log:
        before = active[-1] if active else ()
        if version.parent is not None and version.artifact is None:
            active.append(active[version.parent])  # the very state of its parent
        elif version.kind is VersionKind.ROLLBACK:
            active.append(tuple(b for b in before if b not in set(version.batch_ids)))
        else:
            active.append(before + version.batch_ids)
    return active


def replay_base(log: Sequence[Version], wanted: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Returns the latest version whose active batches are the longest beginning of `wanted`, and
    the batches that remain to be replayed on it (none: that version's state is the answer).
    """
    best, best_length = 0, 0
    for version, active in zip(log, active_batches(log), strict=True):
        if len(active) >= best_length and wanted[: len(active)] == active:
            best, best_length = version.version, len(active)
    return best, wanted[best_length:]
