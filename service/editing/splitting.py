"""Bounds the memory of editing: a batch is worked off in parts, smaller ones where memory ends."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

R = TypeVar("R")
MAX_TOKENS = 512  # of one step, unless told otherwise
CPU_MEMORY = "DefaultCPUAllocator"  # names itself in the error that it raises


class Splitting:
    """Results do not depend on the parts: edits of a batch do not see each other."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens  # of one part, padding included

    def over(self, sizes: Sequence[int], run: Callable[[list[int]], R]) -> list[R]:
        """Runs consecutive parts of the numbers 0 to n-1, whose items have `sizes` tokens; returns
        what each part gave. A part that runs out of memory is halved, and so are all that follow,
        here and later. A part must leave nothing behind when it fails.
        """
        results = []
        waiting = [list(range(len(sizes)))] if sizes else []
        while waiting:
            part = waiting.pop(0)
            fitting = self._fitting(sizes, part)
            if rest := part[fitting:]:
                waiting.insert(0, rest)
                part = part[:fitting]
            try:
                results.append(run(part))
            except RuntimeError as error:
                if len(part) == 1 or not _is_out_of_memory(error):
                    raise
                self._max_tokens = max(1, _padded(sizes, part) // 2)
                waiting.insert(0, part)
        return results

    def _fitting(self, sizes: Sequence[int], part: Sequence[int]) -> int:
        """How many of the first items of `part` are taken together: at least one."""
        count = 1
        while count < len(part) and _padded(sizes, part[: count + 1]) <= self._max_tokens:
            count += 1
        return count


def _padded(sizes: Sequence[int], part: Sequence[int]) -> int:
    return max(sizes[i] for i in part) * len(part)


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or CPU_MEMORY in str(error)
