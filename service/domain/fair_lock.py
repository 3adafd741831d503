"""A lock that nobody starves at."""

import threading
from collections import deque


class FairLock:
    """It is had in the order in which it was asked for. Of `threading.Lock`, one who lets go of it
    and asks again at once, as a worker with a long queue does, mostly gets it back before those who
    wait have even woken.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # it stays held: by the next
            else:
                self._held = False
