"""Makes the state that a batch leads to: targets, insertion, verification. Writes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.domain.batches import BatchTimings
from service.domain.states import EditState
from service.editing.editor import AnyEditor
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest
from service.engine.engine import Engine
from service.errors import EditingError
from service.operations.examination import Examination, examine
from service.operations.health import Health
from service.operations.overlays import Pinned
from service.operations.spans import Spans
from service.storage.queue import Ending

NOT_REACHED = "greedy generation does not say the target as it stands"


@dataclass(frozen=True)
class Made:
    state: Overlay | None
    targets: Sequence[Any]  # the editor's, of the edits that needed one
    before: Examination  # of all edits
    after: Examination  # of those that it holds; empty if the model takes none
    health: dict[str, Any]  # fields of `BatchMetrics`
    timings: BatchTimings


class Making:
    def __init__(self, engine: Engine, health: Health, spans: Spans) -> None:
        self._engine = engine
        self._health = health
        self._spans = spans

    def __call__(
        self,
        editor: AnyEditor,
        current: Pinned,
        requests: Sequence[EditRequest],
        endings: dict[int, Ending],
    ) -> Made:
        """The state with these edits over the current one. Those that the model does not take are
        left out, and get an ending.
        """
        clock = [time.perf_counter()]
        with self._spans.span("targets"):
            before, targets = self._targets(editor, current, requests, endings)
        clock.append(time.perf_counter())

        # The cheap part. An edit at fault is left out, and the rest inserted anew.
        while True:
            requests = [request for request in requests if request.edit_id not in endings]
            targets = [target for target in targets if target.edit_id not in endings]
            try:
                with self._spans.span("insert"), self._engine.editing():
                    state = editor.insert(current.state, targets)
            except EditingError as error:
                endings[error.edit_id] = failed(error)
                continue
            overlay = self._engine.place(state)
            clock.append(time.perf_counter())
            with self._spans.span("verify"):
                health = self._health.of(current.overlay, overlay)
                if targets and health.disabled is not None:
                    ending = Ending(EditState.FAILED, health.disabled)
                    endings |= dict.fromkeys((target.edit_id for target in targets), ending)
                    continue
                after = examine(self._engine, overlay, requests, sparing=False)
            missed = [edit_id for edit_id, finding in after.items() if not finding.prompt.reached]
            if not missed or not editor.exact:
                break
            # What was true before may no longer be so beside the batch's other edits.
            more = self._missing(editor, current, requests, targets, missed, endings)
            if more:
                order = [request.edit_id for request in requests]
                targets = sorted([*targets, *more], key=lambda t: order.index(t.edit_id))
                continue
            endings |= dict.fromkeys(missed, Ending(EditState.FAILED, NOT_REACHED))
        timings = BatchTimings(
            targets_s=clock[1] - clock[0],
            insert_s=clock[2] - clock[1],
            verify_s=time.perf_counter() - clock[2],
        )
        return Made(state, targets, before, after, health.metrics, timings)

    def _targets(
        self,
        editor: AnyEditor,
        current: Pinned,
        requests: Sequence[EditRequest],
        endings: dict[int, Ending],
    ) -> tuple[Examination, list[Any]]:
        """What the model says now, and the targets of those edits that it does not say."""
        before = examine(self._engine, current.overlay, requests, sparing=True)
        said = [request for request in requests if before[request.edit_id].true]
        # What only an overlay makes true gets a target all the same: when the edits that make it
        # true are rolled back, its replay must make it true by itself.
        base = examine(self._engine, None, said, sparing=True)
        wanted = [r for r in requests if r.edit_id not in base or not base[r.edit_id].true]

        # The dear part.
        with self._engine.editing():
            targets, errors = editor.targets(current.state, wanted)
        endings |= {error.edit_id: failed(error) for error in errors}
        return before, targets

    def _missing(
        self,
        editor: AnyEditor,
        current: Pinned,
        requests: Sequence[EditRequest],
        targets: Sequence[Any],
        missed: Sequence[int],
        endings: dict[int, Ending],
    ) -> list[Any]:
        """The targets of those edits that were `missed` for want of one."""
        there = {target.edit_id for target in targets}
        wanted = [r for r in requests if r.edit_id in missed and r.edit_id not in there]
        if not wanted:
            return []
        with self._engine.editing():
            found, errors = editor.targets(current.state, wanted)
        endings |= {error.edit_id: failed(error) for error in errors}
        return found


def failed(error: EditingError) -> Ending:
    return Ending(EditState.FAILED, error.reason)
