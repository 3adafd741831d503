"""What rooms need of each other without importing each other."""

from typing import Protocol


class Running(Protocol):
    """Something that should be at work as long as the server is."""

    @property
    def alive(self) -> bool: ...

    @property
    def pending(self) -> str | None:
        """What is still to be done before it can work; None when nothing is."""
        ...
