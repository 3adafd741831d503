"""Changes history: rollback and restore, exact, as new versions at the end of the log.

The state of a list of batches is found in the log where some version had just that list, and is
replayed from stored targets, without any gradient step, where none had.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.versions import Active, Version
from service.editing.overlays import checksum_of
from service.errors import StaleVersionError
from service.operations.changes import Change
from service.operations.comparing import MOST_COMPARED, Comparing
from service.operations.family import Family
from service.operations.overlays import Overlays
from service.operations.past import Past
from service.operations.preview import Preview
from service.operations.probes import Probes
from service.operations.replay import Replay
from service.operations.wakeups import Wakeups
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log
from service.storage.queue import EditQueue

logger = logging.getLogger(__name__)

TRIES = 5  # where several servers change one log


class History:
    def __init__(
        self,
        replay: Replay,
        family: Family,
        comparing: Comparing,
        probes: Probes,
        log: Log,
        queue: EditQueue,
        artifacts: ArtifactStore,
        overlays: Overlays,
        wakeups: Wakeups,
    ) -> None:
        self._replay = replay
        self._family = family
        self._comparing = comparing
        self._probes = probes
        self._log = log
        self._queue = queue
        self._artifacts = artifacts
        self._overlays = overlays
        self._wakeups = wakeups

    def make(
        self, change: Change, *, reason: str, actor: str, expected_version: int | None
    ) -> Version:
        """Returns the version that makes the change: a new one, or the one that made it before."""
        for _ in range(TRIES - 1):
            try:
                return self._make(change, reason, actor, expected_version)
            except StaleVersionError:  # another server was faster
                if expected_version is not None:
                    raise
        return self._make(change, reason, actor, expected_version)

    def _make(
        self, change: Change, reason: str, actor: str, expected_version: int | None
    ) -> Version:
        with self._unchanging() as past:
            wanted = change.wanted(past)
            if wanted == past.now:
                return past.versions[change.made_by(past)]
            self._check(past, wanted, expected_version)
            replayed = self._replay(*past.base(wanted))
            effect = past.effect(wanted)
            content = replayed.artifact
            changes = self._probes.of_history(self._overlays.current, replayed.state)
            version = self._log.commit_change(
                change.kind,
                effect=effect,
                edit_ids=change.edit_ids or effect.one_by_one,
                built_on=past.last,
                parent=replayed.parent,
                artifact=None if content is None else self._artifacts.put(content),
                checksum=checksum_of(replayed.state),
                actor=actor,
                reason=reason,
                changed_probes=changes,
            )
            self._overlays.publish(version.version, replayed.state)
            self._wakeups.announce()
            logger.info(
                "history was changed",
                extra={
                    "kind": version.kind.value,
                    "version": version.version,
                    "batch_ids": list(version.batch_ids),
                    "edit_ids": list(version.edit_ids),
                },
            )
            self._probes.committed(version.version, changes)
            return version

    def preview(self, change: Change, *, expected_version: int | None) -> Preview:
        """What the change would do, found out without making it."""
        with self._unchanging() as past:
            wanted = change.wanted(past)
            if wanted == past.now:
                return Preview.of_nothing(past.versions[change.made_by(past)])
            self._check(past, wanted, expected_version)
            now = self._overlays.current
            replayed = self._replay(*past.base(wanted))
            effect = past.effect(wanted)
        changed = sorted({*effect.rolled_back.edit_ids, *effect.restored.edit_ids})
        if not changed:  # none is taken out or put back: all are held otherwise, as by a repair
            changed = sorted(past.edit_ids(MOST_COMPARED))
        edits = [self._queue.get(edit) for edit in changed[:MOST_COMPARED]]
        return Preview(
            version=past.last + 1,
            checksum=checksum_of(replayed.state),
            effect=effect,
            comparisons=self._comparing(edits, now.overlay, replayed.state),
        )

    @contextmanager
    def _unchanging(self) -> Iterator[Past]:
        """The log, which nobody else of this server changes inside the block."""
        with self._overlays.changing:
            self._overlays.catch_up()
            yield Past(self._log, self._queue)

    def _check(self, past: Past, wanted: Active, expected: int | None) -> None:
        """Raises `ConflictError` for a change that can't be made, or not now."""
        if expected is not None and expected != past.last:
            raise StaleVersionError(expected, past.last)
        self._family.check_change(past.now, wanted)
