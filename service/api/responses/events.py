"""What happened."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from service.domain.events import Event
from service.domain.states import EditState


class EventOut(BaseModel):
    """An edit's change of state, or a new version."""

    id: int
    kind: Literal["edit", "version"]
    edit_id: int | None
    version: int | None
    from_status: EditState | None
    to_status: EditState | None
    actor: str
    reason: str | None
    created_at: datetime

    @classmethod
    def of(cls, event: Event) -> "EventOut":
        kind = "version" if event.edit_id is None else "edit"
        return cls.model_validate({"kind": kind, **asdict(event)})
