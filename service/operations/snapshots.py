"""Whole states, written now and then: a start reads the last one and what came after it."""

import logging

from service.editing.changes import encode, whole
from service.editing.overlays import Overlay
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log

logger = logging.getLogger(__name__)


class Snapshots:
    def __init__(self, log: Log, artifacts: ArtifactStore, every: int) -> None:
        self._log = log
        self._artifacts = artifacts
        self._every = every
        self._last = max(log.snapshots(until=log.last()), default=0)

    def consider(self, version: int, state: Overlay | None) -> None:
        """Writes the state of a version that is `every` versions after the last one written."""
        if state is None or version < self._last + self._every:
            return
        if write_snapshot(self._log, self._artifacts, version, state):
            self._last = version


def write_snapshot(log: Log, artifacts: ArtifactStore, version: int, state: Overlay) -> bool:
    """Whether it was written."""
    try:
        log.add_snapshot(version, artifacts.put(encode(whole(state))))
    except Exception as error:  # the version itself is safe
        logger.warning("no snapshot of version %d was written: %s", version, error)
        return False
    return True
