"""Makes the state that a batch leads to: words in tokens, targets, insertion, verification. Writes
nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.domain.batches import BatchTimings
from service.domain.edits import Edit
from service.domain.probes import ProbeChange
from service.domain.states import EditState
from service.editing.editor import AnyEditor
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest, templated
from service.engine.engine import Engine
from service.errors import EditingError
from service.operations.examination import Examination, examine
from service.operations.health import Health
from service.operations.overlays import Pinned
from service.operations.probe_checks import ProbeChecks
from service.operations.shortfall import fallen_short, untrue
from service.operations.spans import Spans
from service.operations.wording import Wording
from service.storage.queue import Ending


@dataclass(frozen=True)
class Made:
    state: Overlay | None
    targets: Sequence[Any]  # the editor's, of the edits that needed one
    before: Examination  # of all edits
    after: Examination  # of those that it holds; empty if the model takes none
    joints: Mapping[int, str]  # by edit id: what goes between prompt and target
    health: dict[str, Any]  # fields of `BatchMetrics`
    changed_probes: Sequence[ProbeChange] | None  # None where there are no probes
    refused: int  # edits, for the probes that they break
    timings: BatchTimings


class Making:
    def __init__(
        self, engine: Engine, wording: Wording, health: Health, checks: ProbeChecks, spans: Spans
    ) -> None:
        self._engine = engine
        self._wording = wording
        self._health = health
        self._checks = checks
        self._spans = spans

    def __call__(
        self,
        editor: AnyEditor,
        current: Pinned,
        edits: Sequence[Edit],
        endings: dict[int, Ending],
    ) -> Made:
        """The state with those of these edits over the current one that have no ending yet. Those
        that the model does not take are left out, and get an ending.
        """
        clock = [time.perf_counter()]
        with self._spans.span("targets"):
            requests, joints = self._requests(editor, edits, endings)
            before, targets = self._targets(editor, current, requests, endings)
        clock.append(time.perf_counter())

        refused = 0
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
            if editor.exact:
                # What was true before may no longer be so beside the batch's other edits.
                found = {target.edit_id: target for target in targets}
                bare = [r for r in untrue(requests, after) if r.edit_id not in found]
                if bare:
                    more = self._optimised(editor, current, bare, endings)
                    found |= {target.edit_id: target for target in more}
                    targets = [found[r.edit_id] for r in requests if r.edit_id in found]
                    continue
            short = fallen_short(editor, requests, targets, before, after)
            if short:
                endings |= short
                continue
            made = Pinned(current.version + 1, state, overlay)
            try:
                verdict = self._checks(editor, current, made, targets)
            except EditingError as error:
                endings[error.edit_id] = failed(error)
                continue
            if not verdict.refused:
                break
            endings |= verdict.refused
            refused += len(verdict.refused)
        timings = BatchTimings(
            targets_s=clock[1] - clock[0],
            insert_s=clock[2] - clock[1],
            verify_s=time.perf_counter() - clock[2],
        )
        return Made(
            state, targets, before, after, joints, health.metrics, verdict.changes, refused, timings
        )

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
        return before, self._optimised(editor, current, wanted, endings)

    def _optimised(
        self,
        editor: AnyEditor,
        current: Pinned,
        requests: Sequence[EditRequest],
        endings: dict[int, Ending],
    ) -> list[Any]:
        """The dear part."""
        with self._engine.editing():
            targets, errors = editor.targets(current.state, requests)
        endings |= {error.edit_id: failed(error) for error in errors}
        return targets

    def _requests(
        self, editor: AnyEditor, edits: Sequence[Edit], endings: dict[int, Ending]
    ) -> tuple[list[EditRequest], dict[int, str]]:
        """Those that do not end here, in tokens, and what joins their prompts to their targets."""
        left = []
        for edit in edits:
            if edit.id not in endings:
                try:
                    with templated(edit.id):
                        self._wording.check(edit.correction)
                    left.append(edit)
                except EditingError as error:
                    endings[edit.id] = failed(error)
        with self._engine.editing():
            worded = self._wording.phrasings([edit.correction for edit in left])
        tokenizer = self._engine.loaded.tokenizer
        requests, joints = [], {}
        for edit, one in zip(left, worded, strict=True):
            try:
                request = editor.request(tokenizer, edit.id, edit.correction, one.phrasings)
                requests.append(replace(request, strict=edit.correction.strict))
                joints[edit.id] = one.joint
            except EditingError as error:
                endings[edit.id] = failed(error)
        return requests, joints


def failed(error: EditingError) -> Ending:
    return Ending(EditState.FAILED, error.reason)
