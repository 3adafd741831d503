"""Edits, as they are queued, listed and counted."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.responses.report import Report, report_out
from service.domain.edits import Edit, EditFormat
from service.domain.report import ReportedEdit
from service.domain.states import EditState
from service.operations.insights import EditHits


class QueuedEdit(BaseModel):
    id: int
    status: EditState
    warnings: list[str] | None = Field(None, description="what may not have been meant")

    @classmethod
    def of(cls, edit: Edit) -> "QueuedEdit":
        return cls(id=edit.id, status=edit.status, warnings=list(edit.correction.warnings) or None)


class EditsAccepted(BaseModel):
    edits: list[QueuedEdit]


class EditOut(BaseModel):
    id: int
    status: EditState
    editor: str
    prompt: str
    subject: str | None
    target_new: str
    target_true: str | None
    paraphrases: list[str]
    neighborhood: list[str]
    metadata: dict[str, Any]
    priority: int
    format: EditFormat
    hyperparameters: dict[str, Any] = Field(description="given in place of the server's")
    joint: str | None = Field(description="what goes between prompt and target")
    continues: bool = Field(
        serialization_alias="continue", description="a chat's answer may go on after the target"
    )
    strict: bool = Field(
        description="it fails where it misses a phrasing or a neighbour's answer changes"
    )
    warnings: list[str]
    batch_id: int | None
    version: int | None = Field(description="the version that first held it")
    supersedes: int | None = Field(
        description="the edit, applied before, that gave this prompt in this format, or a "
        "question that is not told apart from it, another target"
    )
    error: str | None
    note: str | None = Field(
        description="phrasings that are missed, and given neighbours whose answer the batch changed"
    )
    probability_before: float | None = Field(description="of target_new, before its batch")
    probability_after: float | None = Field(description="of the target's own tokens")
    verified: bool | None = Field(
        description="greedy generation says target_new on the prompt and on every paraphrase"
    )
    submitted_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, edit: Edit) -> "EditOut":
        correction = edit.correction
        return cls(
            id=edit.id,
            status=edit.status,
            editor=correction.editor,
            prompt=correction.prompt,
            subject=correction.subject,
            target_new=correction.target_new,
            target_true=correction.target_true,
            paraphrases=list(correction.paraphrases),
            neighborhood=list(correction.neighborhood),
            metadata=correction.metadata,
            priority=correction.priority,
            format=correction.format,
            hyperparameters=correction.hyperparameters,
            joint=edit.joint,
            continues=correction.continues,
            strict=correction.strict,
            warnings=list(correction.warnings),
            batch_id=edit.batch_id,
            version=edit.version,
            supersedes=edit.supersedes,
            error=edit.error,
            note=edit.note,
            probability_before=edit.probability_before,
            probability_after=edit.probability_after,
            verified=edit.verified,
            submitted_by=edit.submitted_by,
            created_at=edit.created_at,
            updated_at=edit.updated_at,
        )


class EditDetail(EditOut):
    report: Report
    superseded_by: int | None = Field(
        description="the latest edit at work that `supersedes` this one"
    )

    @classmethod
    def with_report(cls, found: ReportedEdit) -> "EditDetail":
        known = EditOut.of(found.edit).model_dump()
        return cls(**known, report=report_out(found.report), superseded_by=found.superseded_by)


class HitsOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    hits: int | None = Field(
        description="tokens that a codebook entry of this edit answered, on any version"
    )
    since: datetime = Field(description="the server's start; nothing from before is counted")
    reason: str | None = Field(description="why there is no count, if there is none")

    @classmethod
    def of(cls, hits: EditHits) -> "HitsOut":
        return cls.model_validate(hits)


class EditPage(BaseModel):
    edits: list[EditOut]
    next: int | None = Field(description="`after` of the next page; null on the last")
