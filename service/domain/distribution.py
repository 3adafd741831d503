"""How often values fell between bounds: what a histogram is drawn from."""

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """Written by one thread at a time, without a lock; any other may read it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`, rising: a value counts to the first that is not below it."""
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def counts(self) -> list[int]:
        """Of values up to each bound, and of all: [bounds + 1], rising."""
        total, found = 0, []
        for count in self._counts:
            total += count
            found.append(total)
        return found
