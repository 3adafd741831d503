"""Counts by bounds."""

import pytest

from service.domain.distribution import Distribution


def test_a_value_counts_up_to_its_bound_and_beyond() -> None:
    found = Distribution([1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 9.0):
        found.add(value)
    assert found.counts() == [2, 3, 4]
    assert found.sum == pytest.approx(12.0)
