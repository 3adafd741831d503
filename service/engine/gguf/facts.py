"""The metadata of a GGUF file that is about the architecture, taken entry by entry."""

import math
from typing import Any

import numpy as np

from service.errors import StartupError


class Facts:
    """Remembers what was taken: a fact that is left over would be lost, and the model would answer
    otherwise than its file says.
    """

    def __init__(self, metadata: dict[str, Any], architecture: str) -> None:
        prefix = f"{architecture}."
        self._prefix = prefix
        self._left = {
            key.removeprefix(prefix): value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, default: object = None) -> object:
        return self._left.pop(name, default)

    def count(self, name: str, default: int | None = None) -> int:
        """A positive integer. Raises `StartupError` for any other value, and for none."""
        found = self.take(name, default)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise StartupError(self._wrong(name, found, "a positive integer"))
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """A positive number, as it was before it was stored in 32 bits. Raises like `count`."""
        found = self.take(name, default)
        if not isinstance(found, float) or not math.isfinite(found) or found <= 0:
            raise StartupError(self._wrong(name, found, "a positive number"))
        return float(str(np.float32(found)))

    def expect(self, name: str, *wanted: object) -> None:
        """Raises `StartupError` for a value that is none of `wanted`; there may be none at all."""
        found = self.take(name, wanted[0])
        if found not in wanted:
            raise StartupError(self._wrong(name, found, " or ".join(map(str, wanted))))

    def check_taken(self) -> None:
        """Raises `StartupError` for what was not taken."""
        if self._left:
            name = min(self._left)
            raise StartupError(
                f"its metadata has {self._prefix}{name}, which can't be kept: the model would "
                "answer differently"
            )

    def _wrong(self, name: str, found: object, wanted: str) -> str:
        what = "missing" if found is None else str(found)[:64]
        return f"its metadata's {self._prefix}{name} is {what}, and {wanted} is needed"
