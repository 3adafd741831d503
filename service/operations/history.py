"""Changes history: rollback and restore, exact, as new versions at the end of the log.

The state of a list of batches is found in the log where some version had just that list, and is
replayed from stored targets, without any gradient step, where none had.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from service.domain.versions import Version, VersionKind, active_batches, replay_base
from service.editing.changes import decode, encode
from service.editing.overlays import checksum_of
from service.engine.engine import Engine
from service.errors import NotFoundError, StaleVersionError
from service.operations.editors import Editors
from service.operations.overlays import Overlays
from service.operations.wakeups import Wakeups
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log


class History:
    def __init__(
        self,
        engine: Engine,
        editors: Editors,
        log: Log,
        artifacts: ArtifactStore,
        overlays: Overlays,
        wakeups: Wakeups,
    ) -> None:
        self._engine = engine
        self._editors = editors
        self._log = log
        self._artifacts = artifacts
        self._overlays = overlays
        self._wakeups = wakeups

    def rollback_batch(
        self, batch_id: int, *, reason: str, actor: str, expected_version: int | None
    ) -> Version:
        """Takes one batch out of history: the state becomes one in which it never ran. A batch that
        is rolled back already stays so, and the version that did it is returned.
        """
        self._log.batch(batch_id)
        with self._changing() as (log, active):
            if batch_id not in active[-1]:
                return _last_touching(log, batch_id)
            _expect(log, expected_version)
            wanted = tuple(batch for batch in active[-1] if batch != batch_id)
            return self._change(log, VersionKind.ROLLBACK, active[-1], wanted, actor, reason)

    def restore_batch(
        self, batch_id: int, *, reason: str, actor: str, expected_version: int | None
    ) -> Version:
        """Puts a rolled-back batch at the end of history. An active one stays where it is, and the
        version that put it there is returned.
        """
        self._log.batch(batch_id)
        with self._changing() as (log, active):
            if batch_id in active[-1]:
                return _last_touching(log, batch_id)
            _expect(log, expected_version)
            wanted = (*active[-1], batch_id)
            return self._change(log, VersionKind.RESTORE, active[-1], wanted, actor, reason)

    def rollback_to(
        self, version: int, *, reason: str, actor: str, expected_version: int | None
    ) -> Version:
        """Undoes everything after `version`, rollbacks too. If nothing is to be undone, the last
        version is returned.
        """
        with self._changing() as (log, active):
            if version >= len(log):
                raise NotFoundError("version", version)
            wanted = active[version]
            if wanted == active[-1]:
                return log[-1]
            _expect(log, expected_version)
            return self._change(log, VersionKind.ROLLBACK, active[-1], wanted, actor, reason)

    @contextmanager
    def _changing(self) -> Iterator[tuple[list[Version], list[tuple[int, ...]]]]:
        """The log, which nobody else changes inside the block, and its active batches."""
        with self._overlays.changing:
            self._overlays.catch_up()
            log = self._log.versions()
            yield log, active_batches(log)

    def _change(
        self,
        log: Sequence[Version],
        kind: VersionKind,
        active: tuple[int, ...],
        wanted: tuple[int, ...],
        actor: str,
        reason: str,
    ) -> Version:
        parent, remaining = replay_base(log, wanted)
        before = state = self._overlays.at(parent).state
        artifact = None
        if remaining:
            for batch_id in remaining:
                batch = self._log.batch(batch_id)
                editor = self._editors.recorded(batch)
                targets = decode(self._artifacts.get(batch.artifact)).targets
                with self._engine.editing():
                    state = editor.insert(state, targets)
            artifact = self._artifacts.put(encode(editor.change(before, state, ())))
        version = self._log.commit_change(
            kind,
            rolled_back=[batch for batch in active if batch not in wanted],
            restored=[batch for batch in wanted if batch not in active],
            built_on=log[-1].version,
            parent=parent,
            artifact=artifact,
            checksum=checksum_of(state),
            actor=actor,
            reason=reason,
        )
        self._overlays.publish(version.version, state)
        self._wakeups.announce()
        return version


def _expect(log: Sequence[Version], expected: int | None) -> None:
    if expected is not None and expected != log[-1].version:
        raise StaleVersionError(expected, log[-1].version)


def _last_touching(log: Sequence[Version], batch_id: int) -> Version:
    return next(version for version in reversed(log) if batch_id in version.batch_ids)
