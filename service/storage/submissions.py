"""Accepted POSTs of edits, and the rows that they put into the queue."""

import json
from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.domain.edits import Correction, Edit
from service.domain.states import EditState
from service.storage.database import now
from service.storage.rows import edit_of
from service.storage.tables import EditRow, EventRow, SubmissionRow


def earlier_submission(
    session: Session, actor: str, idempotency_key: str | None
) -> SubmissionRow | None:
    """The one that was accepted with this key before."""
    if idempotency_key is None:
        return None
    query = select(SubmissionRow).where(SubmissionRow.actor == actor)
    return session.scalar(query.where(SubmissionRow.idempotency_key == idempotency_key))


def add_submission(
    session: Session, actor: str, idempotency_key: str | None, body_hash: str
) -> SubmissionRow:
    row = SubmissionRow(
        actor=actor, idempotency_key=idempotency_key, body_hash=body_hash, created_at=now()
    )
    session.add(row)
    session.flush()
    return row


def add_edits(
    session: Session, submission: SubmissionRow, corrections: Sequence[Correction]
) -> list[Edit]:
    """Writes the corrections of a submission as queued edits, with an event each."""
    values = [
        {
            "submission_id": submission.id,
            "submitted_by": submission.actor,
            "editor": correction.editor,
            "prompt": correction.prompt,
            "subject": correction.subject,
            "target_new": correction.target_new,
            "target_true": correction.target_true,
            "paraphrases": list(correction.paraphrases),
            "neighborhood": list(correction.neighborhood),
            "client_metadata": correction.metadata,
            "priority": correction.priority,
            "format": correction.format,
            "hyperparameters": json.dumps(correction.hyperparameters, sort_keys=True),
            "warnings": list(correction.warnings),
            "joint": correction.joint,
            "continues": correction.continues,
            "strict": correction.strict,
            "status": EditState.QUEUED,
            "attempts": 0,
            "created_at": submission.created_at,
            "updated_at": submission.created_at,
        }
        for correction in corrections
    ]
    statement = insert(EditRow).returning(EditRow, sort_by_parameter_order=True)
    edits = [edit_of(row) for row in session.scalars(statement, values)]
    events = [
        {
            "edit_id": edit.id,
            "to_status": EditState.QUEUED,
            "actor": submission.actor,
            "created_at": submission.created_at,
        }
        for edit in edits
    ]
    session.execute(insert(EventRow), events)
    return edits
