"""Which overlay serves which version: one pointer for the current, a bounded cache for history."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.fair_lock import FairLock
from service.domain.versions import Version
from service.editing.overlays import Overlay, checksum_of
from service.engine.engine import Engine
from service.errors import LogCorruptError, UnsoundArtifactError
from service.operations.reading import Owner, Reading
from service.operations.snapshots import write_snapshot
from service.operations.start_checks import check_artifacts
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log

logger = logging.getLogger(__name__)

CACHED_VERSIONS = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pinned:
    """A version and all that serves it. Immutable, so that whoever holds one sees one version."""

    version: int
    state: Overlay | None  # on the CPU: what editors insert into
    overlay: Overlay | None  # on the model's device


class Overlays:
    def __init__(self, log: Log, artifacts: ArtifactStore, engine: Engine) -> None:
        self._log = log
        self._artifacts = artifacts
        self._engine = engine
        self._reading = Reading(artifacts, engine.loaded.shape)
        self._current = Pinned(0, None, None)
        self._history: OrderedDict[int, Pinned] = OrderedDict()
        self._history_lock = threading.Lock()
        self._publishing = threading.Lock()
        self._unpublished = False  # a version that was committed here
        # Held while the log changes: the worker's batches and rollbacks go one at a time.
        self.changing = FairLock()

    def start(self) -> None:
        """Publishes the log's last version after checking every artifact that the log names.

        Raises `LogCorruptError` if an artifact or the state differs from what the log says, and
        `UnsoundArtifactError` for an artifact that the model could not have.
        """
        check_artifacts(self._log, self._reading)
        self._show(self._load(self._log.last()))

    @property
    def current(self) -> Pinned:
        return self._current

    def catch_up(self) -> Pinned:
        """The log's last version, published first if it is another server's, or one whose commit
        went through and was reported to have failed.
        """
        last = self._log.last()
        if last > self._current.version:
            self._show(self._load(last))
        self._unpublished = False
        return self._current

    def publish(self, version: int, state: Overlay | None) -> None:
        """Swaps the pointer: passes that began before finish on what they hold. Where that fails,
        as for want of memory, the version is committed all the same, and whoever made it must not
        try again: it is published by the next `catch_up`.
        """
        try:
            self._show(Pinned(version, state, self._engine.place(state)))
        except Exception:
            logger.exception(
                "a committed version can't be published yet", extra={"version": version}
            )
            self._unpublished = True

    def settle(self) -> None:
        """Publishes the last version if it could not be published when it was committed."""
        if self._unpublished:
            self.catch_up()

    def at(self, version: int | None) -> Pinned:
        """The overlay of `version`, or of the current one for None. Raises `NotFoundError`."""
        current = self._current
        if version is None or version == current.version:
            return current
        with self._history_lock:
            if version in self._history:
                self._history.move_to_end(version)
                return self._history[version]
        loaded = self._load(version)
        with self._history_lock:
            self._history[version] = loaded
            while len(self._history) > CACHED_VERSIONS:
                self._history.popitem(last=False)
        return loaded

    def _show(self, pinned: Pinned) -> None:
        with self._publishing:
            if pinned.version >= self._current.version:  # a later one may have been faster
                self._current = pinned

    def _load(self, number: int) -> Pinned:
        """Reads the state of a version: its change over its parent's, down to a state that is at
        hand, a snapshot or the base.
        """
        wanted = self._log.version(number)
        snapshots = self._log.snapshots(until=number)
        chain: list[Version] = []
        unsound: set[int] = set()  # versions whose snapshots are
        state: Any = None  # each change knows the kind that it is made over
        for version in self._log.back_from(number):
            near = self._at_hand(version.version)
            if near is not None:
                state = near.state
                break
            if version.version in snapshots:
                state = self._whole(version, snapshots[version.version])
                if state is not None:
                    break
                unsound.add(version.version)
            chain.append(version)
        edits = self._log.edits_of({batch for each in chain for batch in each.batch_ids})
        for version in reversed(chain):
            state = self._after(version, state, edits)
            if version.version in unsound and checksum_of(state) == version.checksum:
                write_snapshot(self._log, self._artifacts, version.version, state)
        found = checksum_of(state)
        if found != wanted.checksum:
            raise LogCorruptError(f"the state of version {number}", wanted.checksum, found)
        return Pinned(number, state, self._engine.place(state))

    def _whole(self, version: Version, artifact: str) -> Any:
        """The state that a snapshot of `version` holds; None if it is damaged, which is told."""
        owner = Owner.of_snapshot(version.version)
        try:
            change = self._reading.change(artifact, owner)
            with self._reading.of(artifact, owner):
                state = change.over(None)
            found = checksum_of(state)
            if found == version.checksum:
                return state
            reason = f"{owner.name} has checksum {found}, and the log says {version.checksum}"
        except LogCorruptError as error:
            reason = f"{owner.name}: artifact {artifact} is not what it was: {error.found}"
        except UnsoundArtifactError as error:
            reason = error.found
        logger.warning("%s; it is made anew from the versions before it", reason)
        return None

    def _after(self, version: Version, state: Any, edits: Mapping[int, Sequence[int]]) -> Any:
        """The state that `version` makes of its parent's; `edits` are those of batches."""
        if version.artifact is None:
            return state
        owner = Owner.of_version(version, edits)
        change = self._reading.change(version.artifact, owner)
        with self._reading.of(version.artifact, owner):
            return change.over(state)

    def _at_hand(self, version: int) -> Pinned | None:
        current = self._current
        if version == current.version:
            return current
        with self._history_lock:
            return self._history.get(version)
