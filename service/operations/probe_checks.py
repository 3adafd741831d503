"""Holds a batch to the probes: what it changes is told, and edits that break too many are found."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain.blame import Blame
from service.domain.edits import Format
from service.domain.probes import Probe, ProbeChange
from service.domain.states import EditState
from service.editing.editor import AnyEditor
from service.engine.engine import Engine
from service.operations.overlays import Pinned
from service.operations.probes import Probes, broken_of
from service.operations.spans import Spans
from service.storage.queue import Ending

MOST_NAMED = 3  # probes in a reason
MOST_QUOTED = 80  # characters of each text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeVerdict:
    changes: tuple[ProbeChange, ...] | None = None  # None where there are no probes
    refused: dict[int, Ending] = field(default_factory=dict)  # edits; none if the batch is taken


class ProbeChecks:
    def __init__(self, engine: Engine, probes: Probes, spans: Spans) -> None:
        self._engine = engine
        self._probes = probes
        self._spans = spans

    def __call__(
        self, editor: AnyEditor, current: Pinned, made: Pinned, targets: Sequence[Any]
    ) -> ProbeVerdict:
        """Of a batch that makes `made` of the current version by `targets`. Raises `EditingError`
        for an edit that can't be inserted without some of the others.
        """
        if not self._probes:
            return ProbeVerdict()
        with self._spans.span("probes"):
            changes = self._probes.changes(current, made)
            broken = broken_of(changes)
            if len(broken) <= self._probes.most_broken:
                return ProbeVerdict(changes)
            logger.warning(
                "a batch breaks %d probes: the edits at fault are looked for",
                len(broken),
                extra={"edit_ids": [target.edit_id for target in targets]},
            )
            return ProbeVerdict(refused=self._refused(editor, current, targets, broken))

    def _refused(
        self,
        editor: AnyEditor,
        current: Pinned,
        targets: Sequence[Any],
        broken: dict[Probe, ProbeChange],
    ) -> dict[int, Ending]:
        """The targets are those that the batch has: each trial is an insertion and its answers."""
        of_edit = {target.edit_id: target for target in targets}

        def trial(edit_ids: Sequence[int]) -> dict[Probe, ProbeChange]:
            with self._engine.editing():
                state = editor.insert(current.state, [of_edit[edit] for edit in edit_ids])
            tried = Pinned(current.version + 1, state, self._engine.place(state))
            return self._probes.broken(current, tried)

        blame: Blame[int, ProbeChange] = Blame(trial, self._probes.most_broken)
        blame.judge(list(of_edit), broken)
        return {
            edit_id: Ending(EditState.FAILED, _reason(changes))
            for edit_id, changes in blame.blamed.items()
        }


def _reason(changes: Sequence[ProbeChange]) -> str:
    named = "; ".join(map(_named, changes[:MOST_NAMED]))
    more = f"; and {len(changes) - MOST_NAMED} more" if len(changes) > MOST_NAMED else ""
    return f"it breaks {len(changes)} probe{'' if len(changes) == 1 else 's'}: {named}{more}"


def _named(change: ProbeChange) -> str:
    probe = change.probe
    chat = " in a chat" if probe.format is Format.CHAT else ""
    return (
        f"{_quoted(probe.prompt)}{chat} must be answered with {_quoted(probe.expect or '')}, and "
        f"would be with {_quoted(change.after.lstrip())}"
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}...")
