"""Asks the prompts of edits under two overlays: what a change would make the model say."""

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from service.domain.edits import Edit
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.engine.running import Generation, Listener, Piece, Run, Wanted
from service.errors import OverloadedError

MOST_COMPARED = 32
ANSWER_TOKENS = 8
AT_ONCE = 16  # texts: clients keep the other places
PATIENCE_S = 10.0  # for places to become free
RETRY_S = 0.02


@dataclass(frozen=True)
class Comparison:
    """The greedy answers to an edit's prompt."""

    edit_id: int
    prompt: str
    now: str
    after: str

    @property
    def differs(self) -> bool:
        return self.now != self.after


class Comparing:
    def __init__(self, engine: Engine, most_texts: int) -> None:
        """`most_texts` is what the engine takes at once, one at least."""
        self._engine = engine
        self._at_once = min(most_texts, AT_ONCE)

    def __call__(
        self, edits: Sequence[Edit], now: Overlay | None, after: Overlay | None
    ) -> tuple[Comparison, ...]:
        """Of those edits whose prompts leave the model room to answer. `now` is on the model's
        device. Raises `OverloadedError`.
        """
        placed = self._engine.place(after)
        asked: list[Edit] = []
        wanted: list[Wanted] = []
        for edit in edits:
            correction = edit.correction
            prompt = self._engine.prompt_tokens(correction.prompt, correction.format.forms[0])
            if len(prompt) < self._engine.longest_text:
                asked.append(edit)
                wanted += [Wanted(prompt, overlay, ANSWER_TOKENS) for overlay in (now, placed)]
        texts = []
        for first in range(0, len(wanted), self._at_once):
            texts += self._said(wanted[first : first + self._at_once])
        return tuple(
            Comparison(edit.id, edit.correction.prompt, was, would)
            for edit, was, would in zip(asked, texts[::2], texts[1::2], strict=True)
        )

    def _said(self, wanted: Sequence[Wanted]) -> list[str]:
        """What comes of these, side by side; raises what one of them fails with."""
        heard: queue.SimpleQueue[tuple[int, Piece | Generation | Exception]] = queue.SimpleQueue()

        def hear(number: int, event: Piece | Generation | Exception) -> None:
            heard.put((number, event))

        runs = self._submit([(one, partial(hear, n)) for n, one in enumerate(wanted)])
        texts: dict[int, str] = {}
        try:
            while len(texts) < len(wanted):
                number, event = heard.get()
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, Generation):
                    texts[number] = event.text
        finally:
            self._engine.cancel(runs)
        return [texts[number] for number in range(len(wanted))]

    def _submit(self, asked: Sequence[tuple[Wanted, Listener]]) -> list[Run]:
        """As soon as there is room for all of them."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._engine.submit(*asked)
            except OverloadedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_S)
