"""Asks an engine in a test's own thread."""

import queue

from service.domain.edits import Format
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.engine.generation import Generator
from service.engine.running import Generation, Piece, Wanted

PATIENCE_S = 60.0


def say(engine: Engine | Generator, *asked: Wanted) -> list[Generation]:
    """What comes of these, side by side; raises what one of them fails with."""
    heard: queue.Queue[tuple[int, Piece | Generation | Exception]] = queue.Queue()
    engine.submit(
        *(
            (wanted, lambda event, number=number: heard.put((number, event)))
            for number, wanted in enumerate(asked)
        )
    )
    found: dict[int, Generation] = {}
    while len(found) < len(asked):
        number, event = heard.get(timeout=PATIENCE_S)
        if isinstance(event, Exception):
            raise event
        if isinstance(event, Generation):
            found[number] = event
    return [found[number] for number in range(len(asked))]


def ask(engine: Engine, overlay: Overlay | None, prompt: str, max_new_tokens: int) -> Generation:
    """The likeliest continuation of one prompt."""
    tokens = engine.prompt_tokens(prompt, Format.PLAIN)
    (generation,) = say(engine, Wanted(tokens, overlay, max_new_tokens))
    return generation
