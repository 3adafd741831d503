"""The number to rank editors by."""

import pytest

from service.evaluation.scope import Scope


def test_h_by_hand() -> None:
    """The harmonic mean of 1, 1/2 and 1/4 is 3 / (1 + 2 + 4)."""
    scope = Scope(1.0, 1 / 2, 1 / 4, None, None, None, None, None)
    assert scope.harmonic == pytest.approx(3 / 7)


def test_one_share_of_nothing_is_not_made_up_for() -> None:
    assert Scope(1.0, 1.0, 0.0, None, 1.0, 1.0, 1.0, 1.0).harmonic == 0.0


def test_every_share_counts() -> None:
    whole = [1.0] * 8
    assert Scope(*whole).harmonic == 1.0
    for place in range(8):
        assert Scope(*(0.5 if i == place else 1.0 for i in range(8))).harmonic == 8 / 9
