"""Finds by bisection which of several things, put together, bring more faults than are allowed."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)
F = TypeVar("F")
Faults = Mapping[Any, F]  # each by what tells it from the others


class Blame(Generic[T, F]):
    """Goes through things in their order and keeps as many as bring no more than `most` faults
    together. Of n things, d of them to blame, some 2 d log2(n) trials are made, never 2 n.
    """

    def __init__(self, trial: Callable[[Sequence[T]], Faults[F]], most: int) -> None:
        """`trial` returns the faults of some of the things together."""
        self.blamed: dict[T, list[F]] = {}  # those not kept, with the faults that each adds
        self._trial = trial
        self._most = most
        self._kept: list[T] = []
        self._known: Faults[F] = {}  # those of the ones kept

    def judge(self, group: Sequence[T], faults: Faults[F]) -> None:
        """`faults` are those of what is kept with the group, which is not empty."""
        if len(faults) <= self._most:
            self._kept += group
            self._known = faults
        elif len(group) == 1:
            self.blamed[group[0]] = [f for name, f in faults.items() if name not in self._known]
        else:
            left, right = group[: len(group) // 2], group[len(group) // 2 :]
            self.judge(left, self._trial([*self._kept, *left]))
            whole = self.blamed.keys().isdisjoint(left)  # then the faults are as they were
            self.judge(right, faults if whole else self._trial([*self._kept, *right]))
