"""Where a server can be made to die. The points are put around the server's own functions by those
who start it to be killed: the server knows nothing of them.
"""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.editing.adam import Adam
from service.operations.overlays import Overlays
from service.storage import log as log_module
from service.storage.log import Log
from service.storage.queue import EditQueue
from service.storage.rows import WORKER

Trap = Callable[[], None]


def trap(passes: int) -> Trap:
    """Kills this process, as a power cut would, once so many have passed."""
    left = passes

    def passed() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return passed


def _before(owner: Any, name: str) -> Callable[[Trap], None]:
    return lambda sprung: _wrap(owner, name, before=sprung)


def _after(
    owner: Any, name: str, counts: Callable[..., bool] = lambda _result, *_: True
) -> Callable[[Trap], None]:
    """`counts`: whether a call does, by its result and arguments."""
    return lambda sprung: _wrap(owner, name, after=sprung, counts=counts)


def _wrap(
    owner: Any,
    name: str,
    before: Trap = lambda: None,
    after: Trap = lambda: None,
    counts: Callable[..., bool] = lambda _result, *_: True,
) -> None:
    honest = getattr(owner, name)

    @functools.wraps(honest)
    def wrapped(*arguments: Any, **fields: Any) -> Any:
        before()
        result = honest(*arguments, **fields)
        if counts(result, *arguments):
            after()
        return result

    setattr(owner, name, wrapped)


def _is_a_batch(_result: None, _session: Any, _version: int, actor: str, _reason: Any) -> bool:
    return actor == WORKER


def _is_a_rollback(*arguments: Any) -> bool:
    return not _is_a_batch(*arguments)


# How each is armed.
POINTS: dict[str, Callable[[Trap], None]] = {
    "an intake is committed": _after(EditQueue, "submit"),
    "a batch is claimed": _after(EditQueue, "claim", lambda edits, *_: bool(edits)),
    "amid the targets": _before(Adam, "step"),
    "an artifact is written, not synced": _before(os, "fsync"),
    "an artifact is synced, not renamed": _before(Path, "rename"),
    "an artifact is renamed": _after(Path, "rename"),
    "before a version commits": _after(log_module, "_record", _is_a_batch),
    "a version is committed": _after(Log, "commit_batch"),
    "before a version is published": _before(Overlays, "publish"),
    "a rollback is replayed": _before(Log, "commit_change"),
    "before a rollback commits": _after(log_module, "_record", _is_a_rollback),
    "a rollback is committed": _after(Log, "commit_change"),
}
# How often the points are passed in a trial, at least.
PASSES = dict.fromkeys(POINTS, 3) | {
    "amid the targets": 12,
    "a rollback is replayed": 1,
    "before a rollback commits": 1,
    "a rollback is committed": 1,
}


def arm(point: str, passes: int) -> None:
    POINTS[point](trap(passes))
