"""News of the engine's thread on its way to event loops."""

from asyncio import AbstractEventLoop
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Post:
    """Wakes each loop once for all that a pass brings: with every wake-up its thread may take the
    interpreter from the engine's, which has more to say. For the engine's thread alone.
    """

    def __init__(self) -> None:
        self._held: defaultdict[AbstractEventLoop, list[tuple[Callable[[Any], None], Any]]]
        self._held = defaultdict(list)

    def put(self, loop: AbstractEventLoop, hear: Callable[[Any], None], news: Any) -> None:
        """`hear` is called with `news` in the loop's thread, after `send`. Raises `RuntimeError` if
        the loop is closed.
        """
        if loop.is_closed():
            raise RuntimeError("the event loop is closed")
        self._held[loop].append((hear, news))

    def send(self) -> None:
        while self._held:
            loop, held = self._held.popitem()
            with suppress(RuntimeError):  # closed meanwhile: nobody waits
                loop.call_soon_threadsafe(_deliver, held)


def _deliver(held: list[tuple[Callable[[Any], None], Any]]) -> None:
    for hear, news in held:
        hear(news)
