"""Ways to change history. Each says which batches shall be active, and which of their edits."""

from dataclasses import dataclass, replace
from typing import Protocol

from service.domain.states import EditState
from service.domain.versions import Active, ActiveBatch, VersionKind, repaired, restored
from service.errors import ConflictError, NotFoundError
from service.operations.past import Past


class Change(Protocol):
    @property
    def kind(self) -> VersionKind: ...

    @property
    def edit_ids(self) -> tuple[int, ...]:
        """Edits that are named one by one."""
        ...

    def wanted(self, past: Past) -> Active:
        """What shall be active; what is active if the change is made already. Raises
        `NotFoundError`, `ConflictError`.
        """
        ...

    def made_by(self, past: Past) -> int:
        """The version that made it, if it is made already."""
        ...


@dataclass(frozen=True)
class BatchRollback:
    """Takes one batch out of history: the state becomes one in which it never ran."""

    batch_id: int
    kind = VersionKind.ROLLBACK
    edit_ids = ()

    def wanted(self, past: Past) -> Active:
        past.batch(self.batch_id)
        return tuple(batch for batch in past.now if batch.id != self.batch_id)

    def made_by(self, past: Past) -> int:
        return past.changed_last(self.batch_id, lambda batch: batch is None)


@dataclass(frozen=True)
class BatchRestore:
    """Puts a rolled-back batch at the end of history, whole. An active one stays where it is, and
    gets back the edits that were taken out of it.
    """

    batch_id: int
    kind = VersionKind.RESTORE
    edit_ids = ()

    def wanted(self, past: Past) -> Active:
        past.batch(self.batch_id)
        if _found(past.now, self.batch_id) is None:
            return (*past.now, restored(self.batch_id, past.now))
        return tuple(
            replace(batch, without=frozenset()) if batch.id == self.batch_id else batch
            for batch in past.now
        )

    def made_by(self, past: Past) -> int:
        return past.changed_last(self.batch_id, lambda batch: batch)


@dataclass(frozen=True)
class EditRollback:
    """Takes one edit out of its batch, as if it had never been in it. With the last of its edits a
    batch is rolled back too.
    """

    edit_id: int
    kind = VersionKind.ROLLBACK

    @property
    def edit_ids(self) -> tuple[int, ...]:
        return (self.edit_id,)

    def wanted(self, past: Past) -> Active:
        edit = past.edit(self.edit_id)
        if edit.batch_id is None:
            raise ConflictError(
                f"edit {edit.id} is {edit.status}; only an {EditState.APPLIED} one is rolled back"
            )
        batch = _found(past.now, edit.batch_id)
        if batch is None:
            return past.now
        left = replace(batch, without=batch.without | {edit.id})
        gone = left.without.issuperset(past.batch(batch.id).edit_ids)
        return tuple(
            left if one.id == batch.id else one
            for one in past.now
            if not (gone and one.id == batch.id)
        )

    def made_by(self, past: Past) -> int:
        return past.changed_last(
            past.edit(self.edit_id).batch_id,
            lambda batch: batch is None or self.edit_id in batch.without,
        )


@dataclass(frozen=True)
class RollbackTo:
    """Undoes everything after a version, rollbacks too."""

    version: int
    kind = VersionKind.ROLLBACK
    edit_ids = ()

    def wanted(self, past: Past) -> Active:
        if self.version > past.last:
            raise NotFoundError("version", self.version)
        return past.at(self.version)

    def made_by(self, past: Past) -> int:
        return past.last


@dataclass(frozen=True)
class Repair:
    """Inserts all active batches anew by today's rule, where one of them was made before it."""

    kind = VersionKind.REPAIR
    edit_ids = ()

    def wanted(self, past: Past) -> Active:
        needed = next(past.earliest(), None) is not None
        return repaired(past.now) if needed else past.now

    def made_by(self, past: Past) -> int:
        """The last repair; the last version of a log that never needed one."""
        repairs = [v.version for v in past.versions if v.kind is VersionKind.REPAIR]
        return max(repairs, default=past.last)


def _found(active: Active, batch_id: int) -> ActiveBatch | None:
    return next((batch for batch in active if batch.id == batch_id), None)
