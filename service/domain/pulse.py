"""Signs of life of a thread, by which others see that it is wedged.

A thread that computes may be silent for long: the first pass of a large model, a solve of its
widest layer. So what counts is the time in which it neither gave a sign nor used a processor; who
waits for a device uses one too, since CUDA waits by looking. A long batch whose passes go on gives
a sign with each layer.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_S = 4.0  # of doing nothing, until a thread counts as wedged: found within 5 s
LONG_S = 120.0  # of computing, or of waiting for others, without any sign


class Pulse:
    """One thread's, or that of whichever thread has something. Read from any thread."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._clock: int | None = None  # the thread's own processor time
        self._sign: tuple[float, float] | None = None  # when, and the processor time then
        self._waits = False

    def bind(self) -> None:
        """From now on the pulse is the calling thread's, which is at work."""
        thread = threading.get_ident()
        if thread != self._thread:
            self._thread, self._clock = thread, _clock_of(thread)
        self._sign = self._now()

    def beat(self) -> None:
        """A sign of life, by whichever thread; of one that rests there is none."""
        if self._sign is not None:
            self._sign = self._now()

    def rest(self) -> None:
        """There is nothing to do, until `bind`."""
        self._sign = None

    @contextmanager
    def patient(self) -> Iterator[None]:
        """Inside the block the thread waits for others, as it may. Of other threads: nothing."""
        if threading.get_ident() != self._thread:
            yield
            return
        before, self._waits = self._waits, True
        try:
            yield
        finally:
            self._waits = before
            self.beat()

    @property
    def wedged_s(self) -> float | None:
        """Seconds since the last sign of a thread that is wedged; None of one that is not."""
        sign = self._sign
        if sign is None:
            return None
        now, processor = self._now()
        silent_s = now - sign[0]
        idle_s = silent_s - (processor - sign[1])
        wedged = silent_s > LONG_S or (idle_s > QUIET_S and not self._waits)
        return silent_s if wedged else None

    def _now(self) -> tuple[float, float]:
        processor = 0.0
        if self._clock is not None:
            try:
                processor = time.clock_gettime(self._clock)
            except OSError:  # the thread has ended
                self._clock = None
        return time.monotonic(), processor


def _clock_of(thread: int) -> int | None:
    """None on systems that keep no such clock: there, every silence counts as doing nothing."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return None if clock_of is None else int(clock_of(thread))
