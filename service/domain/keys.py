"""API keys and what each scope may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """Each scope includes those before it."""

    GENERATE = "generate"  # ask the model
    EDIT = "edit"  # hand in corrections and read the log
    ADMIN = "admin"  # change history

    def includes(self, wanted: "Scope") -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(wanted)


class KeyChange(StrEnum):
    """What is done to keys."""

    CREATED = "created"
    ROTATED = "rotated"  # another secret takes its place
    REVOKED = "revoked"


class KeyState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is listed: the secret itself is stored only as a hash."""

    id: int
    owner_id: int  # the first key of those that rotation put in each other's place
    name: str
    scope: Scope
    hint: str  # the secret's first characters, to tell keys apart
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None  # to within a minute
    revoked_at: datetime | None

    def state(self, moment: datetime) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= moment:
            return KeyState.EXPIRED
        return KeyState.ACTIVE

    @property
    def actor(self) -> str:
        """The name under which the log remembers who did something: one for all its secrets."""
        return f"key:{self.owner_id}"

    @property
    def sees(self) -> str | None:
        """Whose edits it is shown; None: everybody's."""
        return None if self.scope.includes(Scope.ADMIN) else self.actor
