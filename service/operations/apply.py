"""Applies a claimed batch: targets, insertion, verification, artifact, one transaction, publish.

No database transaction is open while the model works.
"""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from service.domain.batches import Batch, BatchMetrics, BatchTimings
from service.domain.edits import ALREADY_TRUE, Edit
from service.domain.leases import Lease
from service.domain.states import EditState
from service.editing.changes import encode
from service.editing.editor import AnyEditor
from service.editing.overlays import checksum_of
from service.editing.requests import EditRequest
from service.engine.engine import Engine
from service.errors import EditingError, InvalidRequestError
from service.operations.editors import Editors
from service.operations.examination import (
    Examination,
    efficacy,
    examine,
    neighborhood,
    paraphrase,
)
from service.operations.family import Family
from service.operations.health import Health
from service.operations.overlays import Overlays
from service.operations.phases import Phases
from service.operations.snapshots import Snapshots
from service.operations.spans import Spans
from service.operations.wakeups import Wakeups
from service.storage.artifacts import ArtifactStore
from service.storage.log import AppliedBatch, EditOutcome, Log
from service.storage.queue import EditQueue, Ending

logger = logging.getLogger(__name__)

NOT_REACHED = "greedy decoding does not reach the target"


class Apply:
    """The use case behind the worker."""

    def __init__(
        self,
        engine: Engine,
        editors: Editors,
        family: Family,
        health: Health,
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
        self._health = health
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

    def _made_of(self, edits: Sequence[Edit], lease: Lease) -> Batch | None:
        """The batch of those of these edits that the model takes; None if it takes none."""
        first = edits[0].correction
        try:
            self._family.check(first)
            editor = self._editors.editor(first.editor, first.hyperparameters)
        except InvalidRequestError as error:
            # They were taken before an edit of another family made the log's first batch.
            ending = Ending(EditState.FAILED, str(error))
            self._queue.end(lease, dict.fromkeys((edit.id for edit in edits), ending))
            return None
        endings = _superseded(edits)
        requests = self._requests(editor, edits, endings)
        with self._changing():
            return self._apply(editor, requests, endings, lease)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The log is this thread's to change, once a rollback that goes on has ended."""
        with ExitStack() as stack:
            with self._engine.editing_pulse.patient():
                stack.enter_context(self._overlays.changing)
            yield

    def _requests(
        self, editor: AnyEditor, edits: Sequence[Edit], endings: dict[int, Ending]
    ) -> list[EditRequest]:
        """In tokens, those that do not end here."""
        tokenizer = self._engine.loaded.tokenizer
        requests = []
        for edit in edits:
            if edit.id not in endings:
                try:
                    requests.append(editor.request(tokenizer, edit.id, edit.correction))
                except EditingError as error:
                    endings[edit.id] = _failed(error)
        return requests

    def _apply(
        self,
        editor: AnyEditor,
        requests: list[EditRequest],
        endings: dict[int, Ending],
        lease: Lease,
    ) -> Batch | None:
        current = self._overlays.catch_up()
        clock = [time.perf_counter()]
        with self._spans.span("targets"):
            # 1. What is so already, and what needs a target.
            before = examine(self._engine, current.overlay, requests)
            said = [request for request in requests if before[request.edit_id].true]
            # What only an overlay makes true gets a target all the same: when the edits that make
            # it true are rolled back, its replay must make it true by itself.
            base = examine(self._engine, None, said)
            wanted = [r for r in requests if r.edit_id not in base or not base[r.edit_id].true]

            # 2. The dear part.
            with self._engine.editing():
                targets, errors = editor.targets(current.state, wanted)
        endings |= {error.edit_id: _failed(error) for error in errors}
        clock.append(time.perf_counter())

        # 3. The cheap part. An edit at fault is left out, and the rest inserted anew.
        while True:
            requests = [request for request in requests if request.edit_id not in endings]
            targets = [target for target in targets if target.edit_id not in endings]
            try:
                with self._spans.span("insert"), self._engine.editing():
                    state = editor.insert(current.state, targets)
            except EditingError as error:
                endings[error.edit_id] = _failed(error)
                continue
            overlay = self._engine.place(state)
            clock.append(time.perf_counter())
            with self._spans.span("verify"):
                health = self._health.of(current.overlay, overlay)
                if health.disabled is not None:
                    ending = Ending(EditState.FAILED, health.disabled)
                    endings |= dict.fromkeys((target.edit_id for target in targets), ending)
                    continue
                after = examine(self._engine, overlay, requests)
            missed = [edit_id for edit_id, finding in after.items() if not finding.prompt.greedy]
            if not missed or not editor.exact:
                break
            endings |= dict.fromkeys(missed, Ending(EditState.FAILED, NOT_REACHED))
        clock.append(time.perf_counter())
        timings = BatchTimings(
            targets_s=clock[1] - clock[0],
            insert_s=clock[2] - clock[1],
            verify_s=clock[-1] - clock[2],
        )
        self.phases.took(timings)
        if not requests:
            self._queue.end(lease, endings)
            return None

        # 4. Durable, then visible.
        patient = self._engine.editing_pulse.patient  # with others' disks and networks
        with self._spans.span("artifact"), patient():
            artifact = self._artifacts.put(encode(editor.change(current.state, state, targets)))
        applied = AppliedBatch(
            editor=editor.name,
            outcomes={edit_id: _outcome(before, after, edit_id) for edit_id in after},
            endings=endings,
            hyperparameters=editor.recorded(),
            metrics=BatchMetrics(
                **_shares(before, after),
                **editor.metrics(current.state, state, targets),
                **health.metrics,
            ),
            timings=timings,
            artifact=artifact,
            checksum=checksum_of(state),
        )
        with self._spans.span("commit"):
            version, batch = self._log.commit_batch(applied, built_on=current.version, lease=lease)
        with self._spans.span("publish"):
            self._overlays.publish(version.version, state)
        _tell(batch, endings)
        with patient():
            self._snapshots.consider(version.version, state)
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


def _superseded(edits: Sequence[Edit]) -> dict[int, Ending]:
    """Of edits that give one prompt different targets the last wins."""
    last = {edit.correction.prompt: edit for edit in edits}
    endings = {}
    for edit in edits:
        winner = last[edit.correction.prompt]
        if winner.correction.target_new != edit.correction.target_new:
            reason = f"edit {winner.id} of the same batch gives this prompt another target"
            endings[edit.id] = Ending(EditState.SUPERSEDED, reason)
    return endings


def _failed(error: EditingError) -> Ending:
    return Ending(EditState.FAILED, error.reason)


def _outcome(before: Examination, after: Examination, edit_id: int) -> EditOutcome:
    note = ALREADY_TRUE if before[edit_id].true else None
    verified = after[edit_id].prompt.greedy
    return EditOutcome(
        note=note if verified else NOT_REACHED,
        probability_before=math.exp(before[edit_id].prompt.logprob),
        probability_after=math.exp(after[edit_id].prompt.logprob),
        verified=verified,
    )


def _shares(before: Examination, after: Examination) -> dict[str, Any]:
    return {
        "edits": len(after),
        "already_true": sum(before[edit_id].true for edit_id in after),
        "efficacy": efficacy(after),
        "paraphrase": paraphrase(after),
        "neighborhood": neighborhood(before, after),
    }
