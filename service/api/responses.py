"""What goes out by the wire. Clients rely on these shapes: fields are added, never taken away."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.explained import FiringOut
from service.api.generated import TextOf
from service.domain.batches import Batch
from service.domain.edits import Edit, Format
from service.domain.events import Event
from service.domain.states import BatchState, EditState
from service.domain.versions import Version, VersionKind
from service.engine.scoring import Score
from service.operations.insights import EditHits
from service.operations.preview import Preview
from service.operations.probing import MOST_PROBES


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
    format: Format
    hyperparameters: dict[str, Any] = Field(description="given in place of the server's")
    warnings: list[str]
    batch_id: int | None
    version: int | None = Field(description="the version that first held it")
    supersedes: int | None = Field(
        description="the edit, applied before, that gave this prompt another target"
    )
    error: str | None
    note: str | None
    probability_before: float | None = Field(description="of target_new, before its batch")
    probability_after: float | None
    verified: bool | None = Field(description="greedy decoding reaches target_new")
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


class LayerOut(BaseModel):
    """How far a layer has been changed by now: Frobenius norms."""

    model_config = ConfigDict(from_attributes=True)

    layer: int
    delta_norm: float
    weight_norm: float


class MetricsOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    edits: int
    already_true: int
    efficacy: float | None
    paraphrase: float | None
    neighborhood: float | None
    entries: int | None = Field(description="of a codebook, after the batch")
    entries_added: int | None
    entries_changed: int | None
    layers: list[LayerOut] = Field(description="of hook layers, after the batch")
    residual: float | None = Field(description="mean distance to the targets, in their lengths")
    perplexity_before: float | None = Field(description="of a text that no edit is about")
    perplexity_after: float | None


class TimingsOut(BaseModel):
    """Seconds by phase."""

    model_config = ConfigDict(from_attributes=True)

    targets_s: float
    insert_s: float
    verify_s: float


class BatchOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    editor: str
    status: BatchState
    version: int
    edit_ids: list[int]
    hyperparameters: dict[str, Any]
    metrics: MetricsOut
    timings: TimingsOut
    artifact: str
    created_at: datetime

    @classmethod
    def of(cls, batch: Batch) -> "BatchOut":
        return cls.model_validate(batch)


class BatchPage(BaseModel):
    batches: list[BatchOut]
    next: int | None


class VersionOut(BaseModel):
    version: int
    kind: VersionKind
    batch_id: int | None = Field(description="if it is about a single batch")
    batch_ids: list[int] = Field(description="the batches that it added or took out")
    edit_ids: list[int] = Field(description="the edits that it took out, or put back, one by one")
    actor: str
    reason: str | None
    checksum: str
    artifact: str | None
    created_at: datetime

    @classmethod
    def of(cls, version: Version) -> "VersionOut":
        return cls(
            version=version.version,
            kind=version.kind,
            batch_id=version.batch_ids[0] if len(version.batch_ids) == 1 else None,
            batch_ids=list(version.batch_ids),
            edit_ids=list(version.edit_ids),
            actor=version.actor,
            reason=version.reason,
            checksum=version.checksum,
            artifact=version.artifact,
            created_at=version.created_at,
        )


class MembersOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    batch_ids: list[int]
    edit_ids: list[int]


class ProbeOut(BaseModel):
    """What an edit's prompt is answered with, greedily, in a few tokens."""

    model_config = ConfigDict(from_attributes=True)

    edit_id: int
    prompt: str
    now: str
    after: str
    differs: bool


class PreviewOut(BaseModel):
    """What a change would do. Nothing was changed."""

    dry_run: Literal[True] = True
    changes: bool = Field(description="false: history is so already")
    version: int = Field(
        description="the number that the change would get, or of the version that made it before"
    )
    checksum: str = Field(description="of that version")
    rolled_back: MembersOut
    restored: MembersOut
    probes: list[ProbeOut] = Field(
        description=f"of the first {MOST_PROBES} edits whose state would change"
    )

    @classmethod
    def of(cls, preview: Preview) -> "PreviewOut":
        return cls(
            changes=preview.changes,
            version=preview.version,
            checksum=preview.checksum,
            rolled_back=MembersOut.model_validate(preview.effect.rolled_back),
            restored=MembersOut.model_validate(preview.effect.restored),
            probes=[ProbeOut.model_validate(probe) for probe in preview.probes],
        )


class VersionPage(BaseModel):
    versions: list[VersionOut]
    next: int | None


class TargetScore(BaseModel):
    target: str
    logprob: float = Field(description="natural logarithm, summed over the target's tokens")
    tokens: int
    greedy: bool = Field(description="each token is the model's first choice")
    explain: list[FiringOut] | None = None

    @classmethod
    def of(cls, target: str, score: Score, text_of: TextOf) -> "TargetScore":
        return cls(
            target=target,
            logprob=score.logprob,
            tokens=score.tokens,
            greedy=score.greedy,
            explain=FiringOut.of(score.record, text_of),
        )


class ScoreOut(BaseModel):
    version: int
    scores: list[TargetScore]


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


class ReadyOut(BaseModel):
    ready: bool
    reasons: list[str] = Field(description="why not, if not")


class HealthOut(BaseModel):
    status: str


class AboutOut(BaseModel):
    errata: str = Field(description="this server's version")
    model: str
    fingerprint: str = Field(description="sha256 of the model's configuration, weights and dtype")
    editor: str
    version: int = Field(description="the log's current version")
