"""What the engine needs of a batch of texts that grow together, token by token."""

from collections.abc import Sequence
from typing import Protocol

from service.engine.running import Run
from service.engine.sampling import Choice

ACTIVE = 256  # texts that are continued at once; others wait


class Batch(Protocol):
    def add(self, run: Run) -> None:
        """Takes a text in; its prompt is run in one of the next passes."""
        ...

    def drop(self, runs: Sequence[Run]) -> None:
        """Frees what these texts hold, before the next pass."""
        ...

    @property
    def cache_share(self) -> float | None:
        """How much of the cache for keys and values is taken, of 1; None if it has no bound."""
        ...

    def step(self) -> list[tuple[Run, Choice]]:
        """One forward pass at most; the tokens that it chose. There must be a text to continue."""
        ...
