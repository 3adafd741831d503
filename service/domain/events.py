"""What happened in the log."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.states import EditState


@dataclass(frozen=True)
class Event:
    """An edit's change of state, or, where there is no edit, a new version."""

    id: int
    edit_id: int | None
    version: int | None
    from_status: EditState | None  # None: it was handed in
    to_status: EditState | None
    actor: str
    reason: str | None
    created_at: datetime
