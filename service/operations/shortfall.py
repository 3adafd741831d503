"""Which edits of a verified batch fall short of what is asked of them, and how they end.

An exact editor's must be said on the prompt; a strict one must be reached on every phrasing, and
move no neighbour.
"""

from collections.abc import Sequence
from typing import Any

from service.domain.report import EditReport
from service.domain.states import EditState
from service.editing.editor import AnyEditor
from service.editing.requests import EditRequest
from service.operations.examination import Examination
from service.operations.reporting import report
from service.storage.queue import Ending

NOT_REACHED = "greedy generation does not say the target as it stands"
MOST_NAMED = 8  # faults in a reason
MOST_QUOTED = 40  # characters of each answer


def untrue(requests: Sequence[EditRequest], after: Examination) -> list[EditRequest]:
    """Those of an exact editor's that are not said where they must be."""
    found = ((request, after[request.edit_id]) for request in requests)
    return [
        request
        for request, finding in found
        if not (finding.true if request.strict else finding.said)
    ]


def fallen_short(
    editor: AnyEditor,
    requests: Sequence[EditRequest],
    targets: Sequence[Any],
    before: Examination,
    after: Examination,
) -> dict[int, Ending]:
    """The endings of those that are to be left out before the batch is verified anew, worst first:
    others may be as they should without them.
    """
    told = {r.edit_id: report(before[r.edit_id], after[r.edit_id]) for r in requests}
    strict = {request.edit_id for request in requests if request.strict}
    if editor.exact:
        missed = [edit_id for edit_id in told if not after[edit_id].said]
        if missed:
            return {edit: _ending(told[edit], strict=edit in strict) for edit in missed}
    short = {edit for edit in strict if told[edit].missed or told[edit].moved}
    # One without a target changes nothing itself.
    own = short & {target.edit_id for target in targets}
    return {edit: _ending(told[edit], strict=True) for edit in own or short}


def _ending(told: EditReport, *, strict: bool) -> Ending:
    return Ending(EditState.FAILED, _reason(told) if strict else NOT_REACHED, told)


def _reason(told: EditReport) -> str:
    several = len({one.format for one in told.phrasings}) > 1

    def place(field: str, form: str) -> str:
        return f"{field} in the form '{form}'" if several else field

    faults = [f"{place(one.field, one.format)} is not reached" for one in told.missed]
    faults += [
        f"the answer to {place(one.field, one.format)} changes from {_quoted(one.before)} to "
        f"{_quoted(one.after)}"
        for one in told.moved
    ]
    more = [f"and {len(faults) - MOST_NAMED} more"] if len(faults) > MOST_NAMED else []
    return "; ".join(["the edit is strict", *faults[:MOST_NAMED], *more])


def _quoted(text: str) -> str:
    return repr(text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}...")
