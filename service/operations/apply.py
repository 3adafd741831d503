"""Applies a claimed batch: makes its state, then artifact, one transaction, publish.

No database transaction is open while the model works.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from service.domain.batches import Batch, BatchMetrics
from service.domain.edits import Edit
from service.domain.leases import Lease
from service.domain.states import EditState
from service.editing.changes import encode
from service.editing.editor import AnyEditor
from service.editing.overlays import checksum_of
from service.engine.engine import Engine
from service.errors import InvalidRequestError
from service.operations.contention import Settled, settled
from service.operations.editors import Editors
from service.operations.examination import (
    Examination,
    efficacy,
    neighborhood,
    paraphrase,
)
from service.operations.family import Family
from service.operations.making import Making
from service.operations.outcomes import outcome_of
from service.operations.overlays import Overlays, Pinned
from service.operations.phases import Phases
from service.operations.probes import Probes
from service.operations.snapshots import Snapshots
from service.operations.spans import Spans
from service.operations.wakeups import Wakeups
from service.storage.artifacts import ArtifactStore
from service.storage.log import AppliedBatch, Log
from service.storage.queue import EditQueue, Ending

logger = logging.getLogger(__name__)


class Apply:
    """The use case behind the worker."""

    def __init__(
        self,
        engine: Engine,
        editors: Editors,
        family: Family,
        making: Making,
        probes: Probes,
        overlays: Overlays,
        queue: EditQueue,
        log: Log,
        artifacts: ArtifactStore,
        snapshots: Snapshots,
        wakeups: Wakeups,
        spans: Spans,
    ) -> None:
        self._engine = engine
        self._editors = editors
        self._family = family
        self._making = making
        self._probes = probes
        self._overlays = overlays
        self._queue = queue
        self._log = log
        self._artifacts = artifacts
        self._snapshots = snapshots
        self._wakeups = wakeups
        self._spans = spans
        self.phases = Phases()

    def __call__(self, edits: Sequence[Edit], lease: Lease) -> None:
        """Applies `edits`, of one editor with one set of hyperparameters, in order, as one batch
        and one version. Edits that a later one contradicts end `superseded`, edits that the model
        does not take end `failed`; if none is left, no version is made. Whatever else raises leaves
        all of them claimed: `StaleVersionError` when another server changed history meanwhile.
        """
        first = edits[0].correction
        with self._spans.batch(edit.id for edit in edits) as span:
            span.set_attributes({"errata.editor": first.editor, "errata.batch.size": len(edits)})
            batch = self._made_of(edits, lease)
            if batch is None:
                span.set_attribute("errata.batch.outcome", "failed")
            else:
                span.set_attribute("errata.batch.outcome", "applied")
                span.set_attribute("errata.batch.applied", len(batch.edit_ids))
                span.set_attribute("errata.batch.id", batch.id)
                span.set_attribute("errata.version", batch.version)
        self._wakeups.announce()

    def settle(self) -> None:
        """Publishes what could not be published when it was committed."""
        self._overlays.settle()

    def _made_of(self, edits: Sequence[Edit], lease: Lease) -> Batch | None:
        """The batch of those of these edits that the model takes; None if it takes none."""
        first = edits[0].correction
        try:
            self._family.check(first)  # before statistics are made for it
            editor = self._editors.editor(first.editor, first.hyperparameters)
        except InvalidRequestError as error:
            self._refuse(edits, error, lease)
            return None
        contended = settled(edits)
        with self._changing():
            current = self._overlays.catch_up()
            try:
                self._family.check(first)  # what is at work now stays so until the commit
            except InvalidRequestError as error:
                self._refuse(edits, error, lease)
                return None
            return self._apply(editor, current, contended, lease)

    def _refuse(self, edits: Sequence[Edit], error: InvalidRequestError, lease: Lease) -> None:
        """They were taken before a batch of another family came to work."""
        ending = Ending(EditState.FAILED, str(error))
        self._queue.end(lease, dict.fromkeys((edit.id for edit in edits), ending))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The log is this thread's to change, once a rollback that goes on has ended."""
        with ExitStack() as stack:
            with self._engine.editing_pulse.patient():
                stack.enter_context(self._overlays.changing)
            yield

    def _apply(
        self,
        editor: AnyEditor,
        current: Pinned,
        contended: Settled,
        lease: Lease,
    ) -> Batch | None:
        endings = contended.endings
        made = self._making(editor, current, contended.edits, endings)
        self.phases.took(made.timings)
        if not made.after:
            self._queue.end(lease, endings)
            self._probes.refused += made.refused
            return None

        # Durable, then visible.
        patient = self._engine.editing_pulse.patient  # with others' disks and networks
        with self._spans.span("artifact"), patient():
            change = editor.change(current.state, made.state, made.targets)
            artifact = self._artifacts.put(encode(change))
        overruled = change.overruled(current.state)
        applied = AppliedBatch(
            editor=editor.name,
            outcomes={
                edit_id: replace(
                    outcome_of(made, edit_id, contended.notes.get(edit_id)),
                    overrules=overruled.get(edit_id),
                )
                for edit_id in made.after
            },
            endings=endings,
            hyperparameters=editor.recorded(),
            metrics=BatchMetrics(
                **_shares(made.before, made.after),
                **editor.metrics(current.state, made.state, made.targets),
                **made.health,
            ),
            timings=made.timings,
            artifact=artifact,
            checksum=checksum_of(made.state),
            changed_probes=made.changed_probes,
        )
        with self._spans.span("commit"):
            version, batch = self._log.commit_batch(applied, built_on=current.version, lease=lease)
        with self._spans.span("publish"):
            self._overlays.publish(version.version, made.state)
        _tell(batch, endings)
        self._probes.refused += made.refused
        self._probes.committed(version.version, made.changed_probes)
        with patient():
            self._snapshots.consider(version.version, made.state)
        return batch


def _tell(batch: Batch, endings: Mapping[int, Ending]) -> None:
    timings = batch.timings
    logger.info(
        "a batch was applied, %d of its edits were not",
        len(endings),
        extra={
            "batch_id": batch.id,
            "version": batch.version,
            "edit_ids": list(batch.edit_ids),
            "editor": batch.editor,
            "seconds": round(timings.targets_s + timings.insert_s + timings.verify_s, 6),
        },
    )


def _shares(before: Examination, after: Examination) -> dict[str, Any]:
    return {
        "edits": len(after),
        "already_true": sum(before[edit_id].true for edit_id in after),
        "efficacy": efficacy(after),
        "paraphrase": paraphrase(after),
        "neighborhood": neighborhood(before, after),
    }
