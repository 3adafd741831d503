"""The log as it stands while nobody else changes it, and what is at work by it."""

from collections.abc import Callable

from service.domain.batches import Batch
from service.domain.edits import Edit
from service.domain.effects import Effect, effect_of
from service.domain.versions import Active, active_batches
from service.storage.log import Log
from service.storage.queue import EditQueue


class Past:
    def __init__(self, log: Log, queue: EditQueue) -> None:
        self._log = log
        self._queue = queue
        self.versions = log.versions()
        edits = [edit for version in self.versions for edit in version.edit_ids]
        self.active = active_batches(self.versions, log.batch_of(edits))

    @property
    def last(self) -> int:
        return self.versions[-1].version

    @property
    def now(self) -> Active:
        return self.active[-1]

    def batch(self, batch_id: int) -> Batch:
        """Raises `NotFoundError`."""
        return self._log.batch(batch_id)

    def edit(self, edit_id: int) -> Edit:
        """Raises `NotFoundError`."""
        return self._queue.get(edit_id)

    def changed_last(self, look: Callable[[Active], object]) -> int:
        """The last version at which `look` saw something else than before it."""
        seen = [look(active) for active in self.active]
        return next((v for v in range(self.last, 0, -1) if seen[v] != seen[v - 1]), 0)

    def effect(self, wanted: Active) -> Effect:
        """Of making `wanted` active."""
        touched = {batch.id for batch in set(self.now) ^ set(wanted)}
        return effect_of(self.now, wanted, self._log.edits_of(touched))
