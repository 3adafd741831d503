"""Texts on their way to whoever asked, who waits in an event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from opentelemetry.context import get_current

from service.engine.engine import Engine
from service.engine.running import Generation, Listener, Piece, Run, Wanted
from service.operations.spans import Spans


@dataclass(frozen=True)
class Answer:
    """Whole texts, in the order in which they were asked for."""

    version: int
    texts: tuple[Generation, ...]


class Answering:
    """What the engine says of some texts. Whoever stops listening early frees their slots."""

    def __init__(
        self, engine: Engine, spans: Spans, version: int, wanted: Sequence[Wanted]
    ) -> None:
        """Raises `OverloadedError`. For the thread of an event loop."""
        self.version = version
        self._engine = engine
        self._spans = spans
        self._asked_in = get_current()  # the request's span
        self._count = len(wanted)
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[tuple[int, Piece | Generation | Exception]] = asyncio.Queue()
        self._runs: list[Run] = engine.submit(
            *((one, self._listener(number)) for number, one in enumerate(wanted))
        )

    async def pieces(self) -> AsyncIterator[tuple[int, Piece | Generation]]:
        """What comes, and of which text; each ends with its whole. Raises what a text fails
        with.
        """
        unfinished = self._count
        failed = None
        try:
            while unfinished:
                number, event = await self._heard.get()
                if isinstance(event, Exception):
                    failed = number
                    raise event
                unfinished -= isinstance(event, Generation)
                if isinstance(event, Generation) and event.record is not None:
                    await asyncio.to_thread(event.record.attribute)
                yield number, event
        finally:
            self._engine.cancel(self._runs)
            for number, run in enumerate(self._runs):
                self._spans.text(run, self.version, self._asked_in, failed=number == failed)

    async def whole(self) -> Answer:
        found = {
            number: event async for number, event in self.pieces() if isinstance(event, Generation)
        }
        return Answer(self.version, tuple(found[number] for number in range(self._count)))

    def _listener(self, number: int) -> Listener:
        def hear(event: Piece | Generation | Exception) -> None:
            # Of a loop that is closed: the engine takes the text for cancelled.
            self._engine.post.put(self._loop, self._heard.put_nowait, (number, event))

        return hear
