"""What edits would do."""

from typing import Literal

from pydantic import BaseModel, Field

from service.api.responses.probes import ChangedProbes, changed_probes
from service.api.responses.report import Report, report_out
from service.domain.states import EditState
from service.operations.dry_run import Tried, TriedEdit


class TriedEditOut(BaseModel):
    index: int = Field(description="its place in the request, from 0 on")
    status: EditState = Field(description="that it would have: applied, failed or superseded")
    error: str | None
    note: str | None
    verified: bool | None
    probability_before: float | None
    probability_after: float | None
    warnings: list[str]
    report: Report

    @classmethod
    def of(cls, index: int, edit: TriedEdit) -> "TriedEditOut":
        return cls(
            index=index,
            status=edit.status,
            error=edit.error,
            note=edit.note,
            verified=edit.verified,
            probability_before=edit.probability_before,
            probability_after=edit.probability_after,
            warnings=list(edit.warnings),
            report=report_out(edit.report),
        )


class TriedOut(BaseModel):
    """What a batch of these edits would do. Nothing was stored."""

    dry_run: Literal[True] = True
    version: int = Field(description="over which they were tried; the batch would make the next")
    edits: list[TriedEditOut]
    changed_probes: ChangedProbes

    @classmethod
    def of(cls, tried: Tried) -> "TriedOut":
        return cls(
            version=tried.version,
            edits=[TriedEditOut.of(index, edit) for index, edit in enumerate(tried.edits)],
            changed_probes=changed_probes(tried.changed_probes),
        )
