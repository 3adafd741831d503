"""What an exported log says of itself: the first member of its file."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.storage.artifacts import SUFFIX
from service.storage.records import TABLES, Moment, Record, Sha256, Template, Text, table_name

FORMAT = "errata-log-1"
MANIFEST = "manifest.json"
LONGEST = 64 << 20  # bytes
ARTIFACT = re.compile(r"artifacts/([0-9a-f]{64})" + re.escape(SUFFIX))
TABLE_NAMES = {table_name(kind) for kind in TABLES}


def rows_name(kind: type[Record]) -> str:
    """Of the member with a table's rows, a JSON object a line."""
    return f"rows/{table_name(kind)}.jsonl"


def artifact_name(name: str) -> str:
    return f"artifacts/{name}{SUFFIX}"


ROWS_NAMES = {rows_name(kind) for kind in TABLES}


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(ge=0, lt=2**63)  # bytes
    sha256: Sha256


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["errata-log-1"]
    model: Text
    fingerprint: Sha256
    chat_template: Template | None = None  # of the log, as its row of the table `store` says
    created_at: Moment
    counts: dict[str, int]  # rows by table
    members: dict[str, Part]

    @model_validator(mode="after")
    def _names_a_log(self) -> "Manifest":
        if set(self.counts) != TABLE_NAMES or min(self.counts.values()) < 0:
            raise ValueError(f"counts are of the tables {', '.join(sorted(TABLE_NAMES))}")
        if lacking := sorted(ROWS_NAMES - set(self.members)):
            raise ValueError(f"there is no member {lacking[0]}")
        for name, part in self.members.items():
            found = ARTIFACT.fullmatch(name)
            if name not in ROWS_NAMES and found is None:
                raise ValueError(f"a log has no member {name!r}")
            if found is not None and found[1] != part.sha256:
                raise ValueError(f"member {name} is not named by its sha256")
        return self

    @property
    def artifacts(self) -> list[str]:
        """Their sha256."""
        return [part.sha256 for name, part in self.members.items() if name not in ROWS_NAMES]
