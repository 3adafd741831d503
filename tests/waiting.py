"""Waiting for what comes true in another thread or process."""

import time
from collections.abc import Callable


def until(true: Callable[[], bool], within_s: float) -> float:
    """Seconds until it is true."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() < started + within_s
        time.sleep(0.01)
    return time.monotonic() - started
