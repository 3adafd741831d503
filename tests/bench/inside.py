"""Our engine, asked in its own process."""

from queue import SimpleQueue

from service.editing.overlays import Overlay
from service.engine.running import Generation, Piece, Wanted
from tests.bench.load import Text
from tests.bench.shapes import Shape


class Inside:
    """Streams every text under `overlay`."""

    def __init__(self, shape: Shape, overlay: Overlay | None) -> None:
        self._engine = shape.engine
        self._new_tokens = shape.new_tokens
        self._overlay = shape.engine.place(overlay)
        self._ended: SimpleQueue[Text | Exception] = SimpleQueue()

    def begin(self, prompt: str) -> None:
        text = Text()

        def hear(event: Piece | Generation | Exception) -> None:
            if isinstance(event, Exception):
                self._ended.put(event)
            elif isinstance(event, Generation):
                self._ended.put(text)
            elif event.choices:
                text.arrives()

        tokens = self._engine.prompt_tokens(prompt)
        wanted = Wanted(tokens, self._overlay, self._new_tokens, streamed=True)
        self._engine.submit((wanted, hear))

    def ended(self) -> Text:
        ended = self._ended.get()
        if isinstance(ended, Exception):
            raise ended
        return ended
