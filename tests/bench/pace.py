"""How long editing takes, in its two parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from service.editing.editor import AnyEditor
from service.editing.requests import EditRequest
from tests.bench.machine import now


@dataclass(frozen=True)
class Pace:
    """Seconds per edit."""

    targets: float  # the gradient steps
    insert: float  # the closed form

    @property
    def edit(self) -> float:
        return self.targets + self.insert

    @classmethod
    def between(cls, started: float, optimised: float, ended: float, edits: int) -> "Pace":
        """Of that many edits, by the clock."""
        return cls((optimised - started) / edits, (ended - optimised) / edits)

    @classmethod
    def middle(cls, paces: Sequence["Pace"]) -> "Pace":
        """The median of each part."""
        return cls(median(pace.targets for pace in paces), median(pace.insert for pace in paces))


def paced(editor: AnyEditor, state: Any, requests: Sequence[EditRequest]) -> Pace:
    """Edits one batch into `state`. The targets of an editor that goes edit by edit take an
    insertion each: the next one's is found with those before it in.
    """
    started = now()
    targets, errors = editor.targets(state, requests)
    optimised = now()
    editor.insert(state, targets)
    ended = now()
    if errors:
        raise errors[0]
    return Pace.between(started, optimised, ended, len(requests))
