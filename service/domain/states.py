"""An edit's life. This table decides every change of state, wherever it is made."""

from enum import StrEnum

from service.errors import IllegalTransitionError


class EditState(StrEnum):
    QUEUED = "queued"  # durably taken, waits for the worker
    APPLYING = "applying"  # claimed into a batch
    APPLIED = "applied"  # its version is committed and published
    FAILED = "failed"  # could not be applied; says why
    SUPERSEDED = "superseded"  # a later edit of its batch contradicts it
    CANCELLED = "cancelled"  # taken back by its client before it was claimed
    ROLLED_BACK = "rolled_back"  # it was undone, alone or with its batch


class BatchState(StrEnum):
    APPLIED = "applied"
    ROLLED_BACK = "rolled_back"


TRANSITIONS: dict[EditState, frozenset[EditState]] = {
    EditState.QUEUED: frozenset({EditState.APPLYING, EditState.CANCELLED}),
    EditState.APPLYING: frozenset({EditState.APPLIED, EditState.FAILED, EditState.SUPERSEDED}),
    EditState.APPLIED: frozenset({EditState.ROLLED_BACK}),
    EditState.ROLLED_BACK: frozenset({EditState.APPLIED}),
    EditState.FAILED: frozenset(),
    EditState.SUPERSEDED: frozenset(),
    EditState.CANCELLED: frozenset(),
}

# States in which the server has nothing more to do for an edit.
SETTLED = frozenset(EditState) - {EditState.QUEUED, EditState.APPLYING}


def check_transition(edit_id: int, current: EditState, wanted: EditState) -> None:
    """Raises `IllegalTransitionError` unless the table allows the change."""
    if wanted not in TRANSITIONS[current]:
        raise IllegalTransitionError(edit_id, current, wanted)
