"""What rooms need of each other without importing each other."""

from typing import Protocol

from service.domain.leases import Lease


class Working(Protocol):
    """Something that works in the background from a server's start to its end."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Running(Protocol):
    """Something that should be at work as long as the server is."""

    @property
    def trouble(self) -> str | None:
        """Why it is not; None if it is."""
        ...

    @property
    def pending(self) -> str | None:
        """What is still to be done before it can work; None when nothing is."""
        ...

    @property
    def lease(self) -> Lease | None:
        """Under which it works; None while another server has it."""
        ...

    def leave_off(self) -> None:
        """Tells it to end with what it is at; does not wait."""
        ...


class Current(Protocol):
    """Something that should keep up with the log."""

    @property
    def trouble(self) -> str | None:
        """Why it does not; None if it does."""
        ...
