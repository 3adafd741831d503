"""Applies a claimed batch: targets, insertion, verification, artifact, one transaction, publish.

No database transaction is open while the model works.
"""

import math
import time
from collections.abc import Sequence

from service.domain.batches import BatchMetrics, BatchTimings
from service.domain.edits import ALREADY_TRUE, Edit
from service.domain.states import EditState
from service.editing.codebook import Codebook, Rows, Target
from service.editing.grace import Grace
from service.editing.requests import EditRequest, edit_request
from service.editing.serialization import Change, encode
from service.engine.engine import Engine
from service.operations.examination import (
    Examination,
    efficacy,
    examine,
    neighborhood,
    paraphrase,
)
from service.operations.overlays import Overlays
from service.operations.wakeups import Wakeups
from service.storage.artifacts import ArtifactStore
from service.storage.log import AppliedBatch, EditOutcome, Log
from service.storage.queue import EditQueue, Ending

NOT_REACHED = Ending(EditState.FAILED, "greedy decoding does not reach the target")


class Apply:
    """The use case behind the worker."""

    def __init__(
        self,
        engine: Engine,
        editor: Grace,
        overlays: Overlays,
        queue: EditQueue,
        log: Log,
        artifacts: ArtifactStore,
        wakeups: Wakeups,
    ) -> None:
        self._engine = engine
        self._editor = editor
        self._overlays = overlays
        self._queue = queue
        self._log = log
        self._artifacts = artifacts
        self._wakeups = wakeups

    def __call__(self, edits: Sequence[Edit]) -> None:
        """Applies `edits`, in order, as one batch and one version. Edits that a later one
        contradicts end `superseded`, edits that the model does not take end `failed`; if none is
        left, no version is made. Whatever else raises leaves all of them claimed.
        """
        tokenizer = self._engine.loaded.tokenizer
        endings = _superseded(edits)
        kept = [edit_request(tokenizer, edit) for edit in edits if edit.id not in endings]
        with self._overlays.changing:
            self._apply(kept, endings)
        self._wakeups.announce()

    def _apply(self, requests: list[EditRequest], endings: dict[int, Ending]) -> None:
        current = self._overlays.catch_up()
        clock = [time.perf_counter()]

        # 1. What is so already, and what needs a target.
        before = examine(self._engine, current.overlay, requests)
        said = [request for request in requests if before[request.edit_id].true]
        # What only an overlay makes true gets a target all the same: when the edits that make it
        # true are rolled back, its replay must make it true by itself.
        base = examine(self._engine, self._overlays.base, said)
        wanted = [r for r in requests if r.edit_id not in base or not base[r.edit_id].true]

        # 2. The dear part.
        targets, errors = self._editor.targets(current.state, wanted)
        endings |= {e.edit_id: Ending(EditState.FAILED, e.reason) for e in errors}
        clock.append(time.perf_counter())

        # 3. The cheap part. An edit that does not take is left out, and the rest inserted anew.
        while True:
            requests = [request for request in requests if request.edit_id not in endings]
            targets = [target for target in targets if target.edit_id not in endings]
            state, rows = self._editor.insert(current.state, targets)
            overlay = self._engine.place(state)
            clock.append(time.perf_counter())
            after = examine(self._engine, overlay, requests)
            missed = [edit_id for edit_id, finding in after.items() if not finding.prompt.greedy]
            if not missed:
                break
            endings |= dict.fromkeys(missed, NOT_REACHED)
        clock.append(time.perf_counter())
        if not requests:
            self._queue.end(endings)
            return

        # 4. Durable, then visible.
        artifact = self._artifacts.put(encode(self._change(targets, rows)))
        applied = AppliedBatch(
            editor=self._editor.name,
            outcomes={edit_id: _outcome(before, after, edit_id) for edit_id in after},
            endings=endings,
            hyperparameters=self._editor.recorded(),
            metrics=_metrics(before, after, current.state, state, rows),
            timings=BatchTimings(
                targets_s=clock[1] - clock[0],
                insert_s=clock[2] - clock[1],
                verify_s=clock[-1] - clock[2],
            ),
            artifact=artifact,
            checksum=state.checksum,
        )
        version, _ = self._log.commit_batch(applied, built_on=current.version)
        self._overlays.publish(version.version, state)

    def _change(self, targets: Sequence[Target], rows: Rows) -> Change:
        radius = self._editor.hyperparameters.radius
        return Change(self._editor.site, radius, tuple(targets), rows)


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


def _outcome(before: Examination, after: Examination, edit_id: int) -> EditOutcome:
    return EditOutcome(
        note=ALREADY_TRUE if before[edit_id].true else None,
        probability_before=math.exp(before[edit_id].prompt.logprob),
        probability_after=math.exp(after[edit_id].prompt.logprob),
        verified=after[edit_id].prompt.greedy,
    )


def _metrics(
    before: Examination, after: Examination, old: Codebook, new: Codebook, rows: Rows
) -> BatchMetrics:
    added = len(new) - len(old)
    return BatchMetrics(
        edits=len(after),
        already_true=sum(before[edit_id].true for edit_id in after),
        efficacy=efficacy(after),
        paraphrase=paraphrase(after),
        neighborhood=neighborhood(before, after),
        entries=len(new),
        entries_added=added,
        entries_changed=len(rows.index) - added,
    )
