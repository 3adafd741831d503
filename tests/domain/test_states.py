"""The transition table is DESIGN's, no more and no less."""

import itertools

import pytest

from service.domain.states import EditState, check_transition
from service.errors import IllegalTransitionError

ALLOWED = {
    ("queued", "applying"),
    ("queued", "cancelled"),
    ("applying", "applied"),
    ("applying", "failed"),
    ("applying", "superseded"),
    ("applied", "rolled_back"),
    ("rolled_back", "applied"),
}


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(EditState, EditState)))
def test_only_the_allowed_changes_pass(current: EditState, wanted: EditState) -> None:
    if (current, wanted) in ALLOWED:
        check_transition(1, current, wanted)
    else:
        with pytest.raises(IllegalTransitionError, match=f"edit 1 is {current}"):
            check_transition(1, current, wanted)
