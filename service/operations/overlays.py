"""Which overlay serves which version: one pointer for the current, a bounded cache for history."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError

from service.domain.fair_lock import FairLock
from service.editing.changes import decode
from service.editing.overlays import Overlay, checksum_of
from service.engine.engine import Engine
from service.errors import ArtifactUnreadableError, LogCorruptError
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log

logger = logging.getLogger(__name__)

CACHED_VERSIONS = 8
# What JSON and safetensors that somebody else wrote may lead to.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, SafetensorError)


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
        self._current = Pinned(0, None, None)
        self._history: OrderedDict[int, Pinned] = OrderedDict()
        self._history_lock = threading.Lock()
        self._publishing = threading.Lock()
        self._unpublished = False  # a version that was committed here
        # Held while the log changes: the worker's batches and rollbacks go one at a time.
        self.changing = FairLock()

    def start(self) -> None:
        """Publishes the log's last version after checking every artifact that the log names.

        Raises `LogCorruptError` if an artifact or the state differs from what the log says.
        """
        log = self._log.versions()
        for version in log:
            if version.artifact is not None:
                self._artifacts.get(version.artifact)
        self._show(self._load(log[-1].version))

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
        chain = []
        state: Any = None  # each change knows the kind that it is made over
        for version in self._log.back_from(number):
            near = self._at_hand(version.version)
            if near is not None:
                state = near.state
                break
            if version.version in snapshots:
                chain.append(snapshots[version.version])
                break
            if version.artifact is not None:
                chain.append(version.artifact)
        for artifact in reversed(chain):
            state = self._after(artifact, state)
        found = checksum_of(state)
        if found != wanted.checksum:
            raise LogCorruptError(f"the state of version {number}", wanted.checksum, found)
        return Pinned(number, state, self._engine.place(state))

    def _after(self, artifact: str, state: Any) -> Any:
        """The state, changed by an artifact."""
        content = self._artifacts.get(artifact)
        try:
            return decode(content).over(state)
        except UNREADABLE as error:
            raise ArtifactUnreadableError(artifact) from error

    def _at_hand(self, version: int) -> Pinned | None:
        current = self._current
        if version == current.version:
            return current
        with self._history_lock:
            return self._history.get(version)
