"""Pickles that leave a mark where they are read, and whether one did."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Canary:
    """A file that is there once code has run that nobody should have run."""

    file: Path

    @property
    def sang(self) -> bool:
        return self.file.exists()

    @property
    def code(self) -> str:
        return f"from pathlib import Path\nPath({str(self.file)!r}).touch()\n"

    @property
    def pickle(self) -> bytes:
        return pickle.dumps(_Sings(self.file))


class _Sings:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._file,)
