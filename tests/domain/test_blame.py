"""Bisection finds what brings faults, and keeps all the rest."""

import math
import random
from collections.abc import Sequence

import pytest

from service.domain.blame import Blame


class Trials:
    """Each of some things brings a fault of its own, and some pairs bring one together."""

    def __init__(self, alone: set[int], *together: tuple[int, int]) -> None:
        self._alone = alone
        self._together = together
        self.made: list[list[int]] = []

    def faults(self, things: Sequence[int]) -> dict[object, str]:
        there = set(things)
        pairs = [pair for pair in self._together if there.issuperset(pair)]
        return {name: f"fault {name}" for name in [*(self._alone & there), *pairs]}

    def __call__(self, things: Sequence[int]) -> dict[object, str]:
        assert list(things) == sorted(things)  # they are in their order
        self.made.append(list(things))
        return self.faults(things)

    def blamed(self, things: Sequence[int], most: int = 0) -> dict[int, list[str]]:
        blame: Blame[int, str] = Blame(self, most)
        blame.judge(things, self.faults(things))
        return blame.blamed


@pytest.mark.parametrize("at_fault", range(32))
def test_one_of_many_is_found_in_a_few_trials(at_fault: int) -> None:
    trials = Trials({at_fault})
    assert trials.blamed(range(32)) == {at_fault: [f"fault {at_fault}"]}
    assert len(trials.made) <= 2 * math.log2(32)


def test_what_is_alone_needs_no_trial() -> None:
    trials = Trials({0})
    assert trials.blamed([0]) == {0: ["fault 0"]}
    assert trials.made == []


def test_of_those_that_are_at_fault_together_the_later_is_blamed() -> None:
    trials = Trials(set(), (3, 20))
    assert trials.blamed(range(32)) == {20: ["fault (3, 20)"]}


def test_the_first_faults_are_let_through() -> None:
    """And stand in no later one's list."""
    assert Trials({3, 8, 20}).blamed(range(32), most=2) == {20: ["fault 20"]}
    assert Trials({3, 8}).blamed(range(32), most=2) == {}


def test_what_is_kept_has_no_more_faults_than_are_allowed() -> None:
    chance = random.Random(0)
    for _ in range(200):
        count, most = chance.randint(1, 40), chance.randint(0, 3)
        alone = {thing for thing in range(count) if chance.random() < 0.1}
        pairs = {(chance.randrange(count), chance.randrange(count)) for _ in range(5)}
        trials = Trials(alone, *pairs)
        blamed = trials.blamed(range(count), most)
        kept = [thing for thing in range(count) if thing not in blamed]
        assert len(trials.faults(kept)) <= most
        for thing, faults in blamed.items():  # none is blamed for nothing
            before = [one for one in kept if one < thing]
            assert faults
            assert len(trials.faults([*before, thing])) > most
        assert len(trials.made) < 2 * count
