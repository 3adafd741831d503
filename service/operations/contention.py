"""Edits of one batch that give one place different targets: the later wins there, also by a
paraphrase.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from service.domain.edits import Edit, EditFormat, place_of
from service.domain.states import EditState
from service.storage.queue import Ending


@dataclass(frozen=True)
class Settled:
    edits: list[Edit]  # each in the forms in which it is left its prompt
    endings: dict[int, Ending] = field(default_factory=dict)  # of those that are left none
    notes: dict[int, str] = field(default_factory=dict)  # of those that are left some


def numbered(edit: Edit) -> str:
    return f"edit {edit.id}"


def settled(edits: Sequence[Edit], named: Callable[[Edit], str] = numbered) -> Settled:
    """`named`: what an edit is called in reasons and notes."""
    last = {place: edit for edit in edits for place in edit.correction.places}
    found = Settled([])
    for edit in edits:
        correction = edit.correction
        winners = {
            form: last[place_of(correction.prompt, form)] for form in correction.format.forms
        }
        left = [
            form for form, w in winners.items() if w.correction.target_new == correction.target_new
        ]
        lost = {form: winner for form, winner in winners.items() if form not in left}
        if left and lost:
            ((form, winner),) = lost.items()
            reason = (
                f"in the form '{form}', {named(winner)} of the same batch gives this prompt "
                "another target"
            )
            if correction.strict:
                found.endings[edit.id] = Ending(EditState.FAILED, f"the edit is strict; {reason}")
            found.notes[edit.id] = reason
            edit = replace(edit, correction=replace(correction, format=EditFormat(left[0])))
        elif lost:
            winner = max(lost.values(), key=lambda one: one.id)
            reason = f"{named(winner)} of the same batch gives this prompt another target"
            found.endings[edit.id] = Ending(EditState.SUPERSEDED, reason)
        found.edits.append(edit)
    return found
