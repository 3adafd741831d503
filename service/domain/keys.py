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


@dataclass(frozen=True)
class ApiKey:
    """A key as it is listed: the secret itself is stored only as a hash."""

    id: int
    name: str
    scope: Scope
    hint: str  # the secret's first characters, to tell keys apart
    created_at: datetime
    revoked_at: datetime | None
