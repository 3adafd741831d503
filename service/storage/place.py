"""What artifacts need of where they lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """A file by its name, which has no folder in it."""

    name: str
    size: int  # bytes


class Place(Protocol):
    """Files that are whole or absent. Whatever is amiss with it is an `OSError`; what is not there
    a `FileNotFoundError`.
    """

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None:
        """Returns once it would outlive a power cut."""
        ...

    def renew(self, name: str) -> bool:
        """Makes the file as young as if it were written now; whether it could."""
        ...

    def entries(self) -> Iterator[Entry]: ...

    def written_at(self, name: str) -> datetime: ...

    def remove(self, name: str) -> None:
        """Does nothing if it is gone."""
        ...
