"""The queue of edits: taken durably, claimed first in first out by priority."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session, undefer

from service.domain.edits import Correction, Edit
from service.domain.leases import Lease
from service.domain.report import EditReport, ReportedEdit
from service.domain.states import EditState
from service.errors import ConflictError, IdempotencyError, NotFoundError, QueueFullError
from service.storage.database import Database, racing
from service.storage.leases import fence
from service.storage.rows import WORKER, edit_of, move, report_of, report_values
from service.storage.submissions import add_edits, add_submission, earlier_submission
from service.storage.tables import EditRow

PAGE_CHARACTERS = 1 << 22  # of its edits, after which a page ends: one edit may have a million
READ_AT_ONCE = 50  # rows

# Attempts that came to no end, as when each took its server down, before an edit is claimed alone.
ALONE_AFTER = 3


@dataclass(frozen=True)
class Ending:
    """How a claimed edit ends without being applied."""

    state: EditState  # failed or superseded
    reason: str
    report: EditReport | None = None  # what it would have reached and moved, if that is known


class EditQueue:
    def __init__(self, database: Database) -> None:
        self._database = database

    @racing
    def submit(
        self,
        corrections: Sequence[Correction],
        *,
        actor: str,
        idempotency_key: str | None,
        body_hash: str,
        max_depth: int,
    ) -> list[Edit]:
        """Stores all of `corrections` as queued edits, or none. A second call with the same
        `idempotency_key` and body stores nothing and returns the first call's edits.

        Raises `IdempotencyError` for the same key with another body, `QueueFullError`.
        """
        with self._database.write() as session:
            before = earlier_submission(session, actor, idempotency_key)
            if before is not None:
                if before.body_hash != body_hash:
                    raise IdempotencyError
                rows = select(EditRow).where(EditRow.submission_id == before.id)
                return [edit_of(row) for row in session.scalars(rows.order_by(EditRow.id))]
            depth = _depth(session)
            if depth + len(corrections) > max_depth:
                raise QueueFullError(depth, max_depth)
            submission = add_submission(session, actor, idempotency_key, body_hash)
            return add_edits(session, submission, corrections)

    def get(self, edit_id: int, owner: str | None = None) -> Edit:
        """Raises `NotFoundError`, as for one that is not there, for one of another `owner`."""
        with self._database.read() as session:
            return edit_of(_owned(session.get(EditRow, edit_id), edit_id, owner))

    def reported(self, edit_id: int, owner: str | None = None) -> ReportedEdit:
        """The same with what the edit reaches and moves, and which one answers in its place."""
        with self._database.read() as session:
            found = session.get(EditRow, edit_id, options=[undefer(EditRow.report)])
            row = _owned(found, edit_id, owner)
            later = select(func.max(EditRow.id)).where(
                EditRow.supersedes == edit_id, EditRow.status == EditState.APPLIED
            )
            return ReportedEdit(edit_of(row), report_of(row.report), session.scalar(later))

    def page(
        self,
        *,
        after: int,
        limit: int,
        owner: str | None = None,
        status: EditState | None = None,
        batch_id: int | None = None,
        submitted_with: int | None = None,
    ) -> tuple[list[Edit], bool]:
        """Edits with an id above `after`, oldest first, and whether there are more: a page of long
        ones ends before its `limit`. `submitted_with` asks for those that were handed in together
        with that edit; `owner`, if there is one, for those that are its own.
        """
        query = select(EditRow).where(EditRow.id > after).order_by(EditRow.id).limit(limit + 1)
        if owner is not None:
            query = query.where(EditRow.submitted_by == owner)
        if status is not None:
            query = query.where(EditRow.status == status)
        if batch_id is not None:
            query = query.where(EditRow.batch_id == batch_id)
        if submitted_with is not None:
            one = select(EditRow.submission_id).where(EditRow.id == submitted_with)
            query = query.where(EditRow.submission_id == one.scalar_subquery())
        found: list[Edit] = []
        characters = 0
        query = query.execution_options(yield_per=READ_AT_ONCE)
        # What is not read to its end keeps a cursor of PostgreSQL's open.
        with self._database.read() as session, closing(session.scalars(query)) as rows:
            for row in rows:
                if len(found) == limit or characters > PAGE_CHARACTERS:
                    return found, True
                found.append(edit_of(row))
                characters += len(repr(found[-1].correction))
        return found, False

    def depth(self) -> int:
        with self._database.read() as session:
            return _depth(session)

    def is_empty(self, lease: Lease) -> bool:
        """Nothing is to be claimed under this lease."""
        claimable = or_(EditRow.status == EditState.QUEUED, _left_behind(lease))
        with self._database.read() as session:
            return session.scalar(select(EditRow.id).where(claimable).limit(1)) is None

    def cancel(self, edit_id: int, actor: str, owner: str | None = None) -> Edit:
        """Takes a queued edit back; raises `ConflictError` once it is claimed, and `NotFoundError`,
        as for one that is not there, for one of another `owner`.
        """
        with self._database.write() as session:
            row = _owned(session.get(EditRow, edit_id, with_for_update=True), edit_id, owner)
            if row.status != EditState.QUEUED:
                raise ConflictError(
                    f"edit {edit_id} is {row.status}; only a queued one is cancelled"
                )
            move(session, [row], EditState.CANCELLED, actor)
            return edit_of(row)

    def claim(self, lease: Lease, limit: int) -> list[Edit]:
        """Claims the next batch: edits of one editor with one set of hyperparameters, by priority,
        then by age. Edits that another holder left in the middle of applying come back first, and
        alone if that has happened to them often: then it is seen which one is at fault.
        """
        order = (EditRow.priority.desc(), EditRow.id)
        kind = (EditRow.editor, EditRow.hyperparameters)
        rows: list[EditRow] = []
        with self._database.write(quiet=True) as session:
            fence(session, lease)
            # One after the other, each in its index's order: else all that wait would be sorted.
            for claimable in (_left_behind(lease), EditRow.status == EditState.QUEUED):
                first = select(*kind, EditRow.attempts).where(claimable).order_by(*order).limit(1)
                found = rows[0] if rows else session.execute(first).first()
                if found is None:
                    continue
                if found.attempts >= ALONE_AFTER:
                    limit = 1
                query = (
                    select(EditRow)
                    .where(claimable, EditRow.editor == found.editor)
                    .where(EditRow.hyperparameters == found.hyperparameters)
                    .order_by(*order)
                    .limit(limit - len(rows))
                    .with_for_update(skip_locked=True)
                )
                rows += session.scalars(query)
            fresh = [row for row in rows if row.status == EditState.QUEUED]
            move(session, fresh, EditState.APPLYING, WORKER)
            for row in rows:
                # What this holder could not end itself, a disk or the database was to blame for.
                if not (row.claimed_by or "").startswith(f"{lease.holder}#"):
                    row.attempts += 1
                row.claimed_by = str(lease)
            # A batch is applied in the order in which its edits were handed in.
            return sorted((edit_of(row) for row in rows), key=lambda edit: edit.id)

    def release(self, lease: Lease, edit_ids: Sequence[int], *, tried: bool) -> None:
        """Gives claimed edits back: the next claim takes them again. What was not `tried` to its
        end counts as no attempt.
        """
        with self._database.write() as session:
            fence(session, lease)
            session.execute(
                update(EditRow)
                .where(EditRow.id.in_(edit_ids), EditRow.status == EditState.APPLYING)
                .values(claimed_by=None, attempts=EditRow.attempts - int(not tried))
            )

    def end(self, lease: Lease, endings: Mapping[int, Ending]) -> None:
        """Ends claimed edits that no version will hold."""
        with self._database.write() as session:
            fence(session, lease)
            end(session, endings)


def _depth(session: Session) -> int:
    return session.scalar(select(func.count()).where(EditRow.status == EditState.QUEUED)) or 0


def _left_behind(lease: Lease) -> ColumnElement[bool]:
    """Still applying, but not under this lease, and there is no other."""
    return (EditRow.status == EditState.APPLYING) & (
        or_(EditRow.claimed_by.is_(None), EditRow.claimed_by != str(lease))
    )


def _owned(row: EditRow | None, edit_id: int, owner: str | None) -> EditRow:
    if row is None or owner not in (None, row.submitted_by):
        raise NotFoundError("edit", edit_id)
    return row


def end(session: Session, endings: Mapping[int, Ending]) -> None:
    for row in session.scalars(select(EditRow).where(EditRow.id.in_(endings))):
        ending = endings[row.id]
        row.error = ending.reason
        row.report = report_values(ending.report)
        row.claimed_by = None
        move(session, [row], ending.state, WORKER, reason=ending.reason)
