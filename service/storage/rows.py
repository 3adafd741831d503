"""Rows become the domain's objects here, and events are written."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.domain.batches import Batch, BatchMetrics, BatchTimings, LayerMetrics
from service.domain.edits import Correction, Edit, EditFormat, Format
from service.domain.events import Event
from service.domain.keys import ApiKey, Scope
from service.domain.probes import Probe, ProbeChange
from service.domain.report import EditReport, NeighborReport, PhrasingReport
from service.domain.states import BatchState, EditState, check_transition
from service.domain.versions import Version, VersionKind
from service.storage.database import now
from service.storage.tables import ApiKeyRow, BatchRow, EditRow, EventRow, VersionRow

# Actors of what no client asked for.
SYSTEM = "system"
WORKER = "worker"


def edit_of(row: EditRow) -> Edit:
    correction = Correction(
        prompt=row.prompt,
        target_new=row.target_new,
        editor=row.editor,
        subject=row.subject,
        target_true=row.target_true,
        paraphrases=tuple(row.paraphrases),
        neighborhood=tuple(row.neighborhood),
        metadata=row.client_metadata,
        priority=row.priority,
        format=EditFormat(row.format),
        hyperparameters=json.loads(row.hyperparameters),
        warnings=tuple(row.warnings),
        joint=row.joint,
        continues=row.continues,
        strict=row.strict,
    )
    return Edit(
        id=row.id,
        correction=correction,
        status=EditState(row.status),
        created_at=row.created_at,
        updated_at=row.updated_at,
        submitted_by=row.submitted_by,
        attempts=row.attempts,
        batch_id=row.batch_id,
        version=row.version,
        supersedes=row.supersedes,
        error=row.error,
        note=row.note,
        probability_before=row.probability_before,
        probability_after=row.probability_after,
        verified=row.verified,
        joint=row.joint,
    )


def batch_of(row: BatchRow) -> Batch:
    return Batch(
        id=row.id,
        editor=row.editor,
        status=BatchState(row.status),
        version=row.version,
        edit_ids=tuple(row.edit_ids),
        hyperparameters=row.hyperparameters,
        metrics=metrics_of(row.metrics),
        timings=BatchTimings(**row.timings),
        artifact=row.artifact,
        created_at=row.created_at,
    )


def metrics_of(values: dict[str, Any]) -> BatchMetrics:
    layers = tuple(LayerMetrics(**layer) for layer in values.get("layers", ()))
    return BatchMetrics(**{**values, "layers": layers})


def version_of(row: VersionRow) -> Version:
    return Version(
        version=row.version,
        kind=VersionKind(row.kind),
        batch_ids=tuple(row.batch_ids),
        parent=row.parent,
        artifact=row.artifact,
        checksum=row.checksum,
        actor=row.actor,
        reason=row.reason,
        created_at=row.created_at,
        edit_ids=tuple(row.edit_ids),
    )


def probe_changes_of(values: Sequence[dict[str, Any]] | None) -> tuple[ProbeChange, ...] | None:
    if values is None:
        return None
    return tuple(
        ProbeChange(Probe(v["prompt"], Format(v["format"]), v["expect"]), v["before"], v["after"])
        for v in values
    )


def probe_values(changes: Sequence[ProbeChange] | None) -> list[dict[str, Any]] | None:
    if changes is None:
        return None
    return [{**asdict(c.probe), "before": c.before, "after": c.after} for c in changes]


def report_of(values: dict[str, Any] | None) -> EditReport | None:
    if values is None:
        return None
    return EditReport(
        tuple(
            PhrasingReport(**{**one, "format": Format(one["format"])})
            for one in values["phrasings"]
        ),
        tuple(
            NeighborReport(**{**one, "format": Format(one["format"])})
            for one in values["neighbors"]
        ),
    )


def report_values(report: EditReport | None) -> dict[str, Any] | None:
    return None if report is None else asdict(report)


def key_of(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        owner_id=row.owner_id or row.id,
        name=row.name,
        scope=Scope(row.scope),
        hint=row.hint,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


def event_of(row: EventRow) -> Event:
    return Event(
        id=row.id,
        edit_id=row.edit_id,
        version=row.version,
        from_status=None if row.from_status is None else EditState(row.from_status),
        to_status=None if row.to_status is None else EditState(row.to_status),
        actor=row.actor,
        reason=row.reason,
        created_at=row.created_at,
    )


def move(
    session: Session,
    rows: Iterable[EditRow],
    wanted: EditState,
    actor: str,
    reason: str | None = None,
    version: int | None = None,
) -> None:
    """Changes the state of edits, as the transition table allows, and writes the event of each."""
    moment = now()
    events = []
    for row in rows:
        check_transition(row.id, EditState(row.status), wanted)
        events.append(
            {
                "edit_id": row.id,
                "version": version,
                "from_status": row.status,
                "to_status": wanted,
                "actor": actor,
                "reason": reason,
                "created_at": moment,
            }
        )
        row.status = wanted
        row.updated_at = moment
    if events:
        session.execute(insert(EventRow), events)
