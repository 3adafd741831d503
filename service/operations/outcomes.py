"""What is told of each edit that a batch holds."""

from collections.abc import Sequence

from service.domain.edits import ALREADY_TRUE
from service.operations.examination import Finding
from service.operations.making import Made
from service.operations.reporting import report
from service.operations.shortfall import NOT_REACHED
from service.storage.log import EditOutcome


def outcome_of(made: Made, edit_id: int, contended: str | None) -> EditOutcome:
    """`contended`: what another edit of the batch has taken from it."""
    before, after = made.before[edit_id], made.after[edit_id]
    return EditOutcome(
        note="; ".join(filter(None, [contended, _note(before, after)])) or None,
        probability_before=before.probability,
        probability_after=after.probability,
        verified=after.true,
        joint=made.joints[edit_id],
        report=report(before, after),
    )


def _note(before: Finding, after: Finding) -> str | None:
    """What the client would not expect of an edit that is applied."""
    moved = sorted({neighbor.number for neighbor in after.moved(before)})
    notes = [
        _missed(after) or (ALREADY_TRUE if before.true else None),
        f"the batch changed the answer to neighborhood[{_listed(moved)}]" if moved else None,
    ]
    return "; ".join(filter(None, notes)) or None


def _missed(after: Finding) -> str | None:
    """Where the model does not say what it was taught."""
    if not after.said:
        forms = {reply.phrasing.form for reply in after.prompts if not reply.reached}
        whole = len(forms) == len(after.prompts)
        return NOT_REACHED if whole else f"{NOT_REACHED} in the form '{forms.pop()}'"
    missed = sorted({r.phrasing.number - 1 for r in after.paraphrases if not r.reached})
    return f"{NOT_REACHED} on paraphrases[{_listed(missed)}]" if missed else None


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
