"""Continues texts: one thread that runs forward passes for as long as there are any."""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from service.domain.pulse import Pulse
from service.engine.batch import ACTIVE, Batch
from service.engine.counts import Counts
from service.engine.post import Post
from service.engine.running import Listener, Run, Wanted
from service.errors import GenerationError, OverloadedError, StoppingError

UNWELL = 3  # passes that fail in a row, before the engine counts as unwell

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Load:
    """What the engine is at."""

    running: int  # texts
    waiting: int  # texts
    cache_share: float | None  # of the cache that is taken; None where it has no bound


class Generator:
    """Takes texts from any thread. Its own thread begins with the first of them."""

    def __init__(
        self,
        build: Callable[[], Batch],
        turn: Callable[[], AbstractContextManager[None]],
        tokenizer: PreTrainedTokenizerBase,
        ends: frozenset[int],
        most: int,
        pulse: Pulse,
    ) -> None:
        """`turn` is held over each pass, and over no more; `most` texts run or wait at once.
        `pulse` is its thread's.
        """
        self._build = build
        self._turn = turn
        self._tokenizer = tokenizer
        self._ends = ends
        self._most = most
        self._pulse = pulse
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        # Guards what follows, and tells of each change of it.
        self._changed = threading.Condition()
        self._unfinished: set[Run] = set()
        self._arrived: list[Run] = []
        self._closed = False
        self._stopping = False
        self._died = False  # the thread did, and no text has come since
        # The thread's own.
        self._waiting: deque[Run] = deque()
        self._active: list[Run] = []
        self._slots = list(range(ACTIVE))
        self._failures = 0
        self._failing: str | None = None  # how passes have failed, if many did in a row
        self._cache_share: float | None = None
        self.counts = Counts()
        self.post = Post()  # for its listeners

    def submit(self, *asked: tuple[Wanted, Listener]) -> list[Run]:
        """Takes all of these texts, or raises `OverloadedError` or `StoppingError`."""
        with self._changed:
            if self._closed:
                raise StoppingError
            if len(self._unfinished) + len(asked) > self._most:
                raise OverloadedError(self._most)
            runs = [
                Run(next(self._numbers), wanted, listener, self._tokenizer, self._ends)
                for wanted, listener in asked
            ]
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="errata-generation", daemon=True)
                thread.start()  # where the system has no more threads, nothing was taken
                self._thread, self._died = thread, False
            self._arrived += runs
            self._unfinished.update(runs)
            self._changed.notify_all()
        return runs

    def cancel(self, runs: Sequence[Run]) -> None:
        """Nobody waits for these any more: they leave before the next pass, and hear no more."""
        for run in runs:
            run.cancelled = True

    def drain(self, timeout_s: float) -> bool:
        """Takes no more, and waits until all have ended; whether they have."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._unfinished, timeout_s)

    def stop(self) -> None:
        """Ends the thread after the pass it is at; what has not ended fails."""
        with self._changed:
            self._closed = self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    @property
    def load(self) -> Load:
        running = len(self._active)
        share = self._cache_share  # as the last pass left it, and its texts may have ended since
        if share is not None and not running:
            share = 0.0
        return Load(running, max(0, len(self._unfinished) - running), share)

    @property
    def trouble(self) -> str | None:
        """Why it is unwell; None if it is not."""
        if self._died:
            return "the thread that generates has died; the next text starts another"
        silent_s = self._pulse.wedged_s
        if silent_s is not None:
            texts = len(self._unfinished)
            return f"no forward pass has ended for {silent_s:.0f} s, and {texts} texts wait for one"
        return self._failing

    def _work(self) -> None:
        self._pulse.bind()
        try:
            self._generate()
        finally:
            self._pulse.rest()
            self._leave()

    def _leave(self) -> None:
        """Leaves nobody waiting, whether the thread was to end or not."""
        with self._changed:
            self._waiting += self._arrived
            self._arrived = []
            error = StoppingError() if self._stopping else GenerationError()
            if not self._stopping:
                logger.critical("the thread that generates dies, with %d texts", len(self._waiting))
                self._died, self._thread = True, None
            self._end([*self._active, *self._waiting], error)
            self.post.send()

    def _generate(self) -> None:
        batch: Batch | None = None
        while self._work_has_come():
            try:
                batch = batch or self._build()
                self._admit(batch)
                if self._active:
                    self._step(batch)
            except Exception as error:
                logger.exception("a forward pass failed, and with it %d texts", len(self._active))
                self._note_failure(error)
                batch = None  # nobody knows what the pass has left of it
                self._end(self._active, GenerationError())
            self.post.send()

    def _work_has_come(self) -> bool:
        """Sleeps until there is something to do; False if it is to stop."""
        with self._changed:
            if not (self._arrived or self._active or self._waiting or self._stopping):
                self._pulse.rest()
                self._changed.wait_for(lambda: self._arrived or self._stopping)
                self._pulse.bind()
            self._waiting += self._arrived
            self._arrived = []
            return not self._stopping

    def _admit(self, batch: Batch) -> None:
        """Lets go of cancelled texts, and lets waiting ones in where there is a slot."""
        gone = [run for run in self._active if run.cancelled]
        if gone:
            batch.drop(gone)
            self._end(gone)
        self._end([run for run in self._waiting if run.cancelled])
        while self._waiting and self._slots:
            run = self._waiting.popleft()
            run.slot = self._slots.pop()
            self._active.append(run)
            batch.add(run)

    def _step(self, batch: Batch) -> None:
        with self._turn():
            chosen = batch.step()
        self._pulse.beat()
        self._failures, self._failing = 0, None
        self._cache_share = batch.cache_share
        now = time.monotonic()
        for run, choice in chosen:
            self.counts.took(run, now)
            run.take(choice)
        ended = [run for run, _ in chosen if run.ended is not None]
        if ended:
            batch.drop(ended)
            self._end(ended)

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= UNWELL:
            reason = f"{type(error).__name__}: {error}"
            self._failing = f"the last {self._failures} forward passes failed: {reason}"

    def _end(self, runs: Sequence[Run], error: Exception | None = None) -> None:
        """Forgets texts, which are told of the error that ended them."""
        gone = set(runs)
        self._slots += [run.slot for run in self._active if run in gone]
        self._active = [run for run in self._active if run not in gone]
        self._waiting = deque(run for run in self._waiting if run not in gone)
        with self._changed:
            self._unfinished -= gone
            self._changed.notify_all()
        for run in gone:
            self.counts.ended(run, error)
            if error is not None:
                run.tell(error)
