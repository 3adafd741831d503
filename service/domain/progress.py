"""How far long work is."""

from collections.abc import Callable

# Told what is done, how much of it, and out of how much.
Advance = Callable[[str, int, int], None]


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody asked."""
