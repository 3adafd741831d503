"""Batches and versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from service.api.responses.probes import ChangedProbes, changed_probes
from service.domain.batches import Batch
from service.domain.probes import ProbeChange
from service.domain.states import BatchState
from service.domain.versions import Version, VersionKind


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


class BatchDetail(BatchOut):
    changed_probes: ChangedProbes

    @classmethod
    def with_probes(cls, batch: Batch, changes: Sequence[ProbeChange] | None) -> "BatchDetail":
        known = BatchOut.of(batch).model_dump()
        return cls(**known, changed_probes=changed_probes(changes))


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


class VersionDetail(VersionOut):
    changed_probes: ChangedProbes

    @classmethod
    def with_probes(
        cls, version: Version, changes: Sequence[ProbeChange] | None
    ) -> "VersionDetail":
        known = VersionOut.of(version).model_dump()
        return cls(**known, changed_probes=changed_probes(changes))


class VersionPage(BaseModel):
    versions: list[VersionOut]
    next: int | None
