"""The log as it stands while nobody else changes it, and what is at work by it."""

from collections.abc import Callable, Iterator

from service.domain.batches import Batch
from service.domain.edits import Edit
from service.domain.effects import Effect, effect_of
from service.domain.versions import Active, ActiveBatch, active_batches, active_now, replay_base
from service.operations.editors import is_earliest
from service.storage.log import Log
from service.storage.queue import EditQueue


class Past:
    def __init__(self, log: Log, queue: EditQueue) -> None:
        self._log = log
        self._queue = queue
        self.versions = log.versions()
        edits = [edit for version in self.versions for edit in version.edit_ids]
        self._batch_of = log.batch_of(edits)
        self.now = self.at(self.last)

    @property
    def last(self) -> int:
        return self.versions[-1].version

    def at(self, version: int) -> Active:
        return active_now(self.versions[: version + 1], self._batch_of)

    def batch(self, batch_id: int) -> Batch:
        """Raises `NotFoundError`."""
        return self._log.batch(batch_id)

    def edit(self, edit_id: int) -> Edit:
        """Raises `NotFoundError`."""
        return self._queue.get(edit_id)

    def changed_last(
        self, batch_id: int | None, look: Callable[[ActiveBatch | None], object]
    ) -> int:
        """The last version at which `look` saw something else of the batch than before it; None is
        a batch that is not at work.
        """
        changed, seen = 0, look(None)
        place = None
        for version, (active, unchanged) in enumerate(
            active_batches(self.versions, self._batch_of)
        ):
            if place is None or place >= unchanged:
                rest = range(unchanged, len(active))
                place = next((at for at in rest if active[at].id == batch_id), None)
            sees = look(None if place is None else active[place])
            if sees != seen:
                changed, seen = version, sees
        return changed

    def earliest(self) -> Iterator[tuple[ActiveBatch, Batch]]:
        """The batches at work that were inserted before rules were recorded, and are not repaired:
        none has a higher id than one that came after them.
        """
        for active in sorted(self.now, key=lambda batch: batch.id):
            batch = self._log.batch(active.id)
            if not is_earliest(batch):
                return
            if not active.repaired:
                yield active, batch

    def edit_ids(self, most: int) -> list[int]:
        """Returns the ids of the first edits at work, `most` at most."""
        batches = [batch.id for batch in self.now[:most]]
        edits = self._log.edits_of(batches)
        gone = {edit for batch in self.now[:most] for edit in batch.without}
        return [e for batch in batches for e in edits[batch] if e not in gone][:most]

    def base(self, wanted: Active) -> tuple[int, Active]:
        """The version to build `wanted` on, and the batches that remain to be replayed."""
        return replay_base(self.versions, self._batch_of, wanted)

    def effect(self, wanted: Active) -> Effect:
        """Of making `wanted` active."""
        touched = {batch.id for batch in set(self.now) ^ set(wanted)}
        return effect_of(self.now, wanted, self._log.edits_of(touched))
