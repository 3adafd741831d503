"""One text on its way through the engine: what was asked, what came, and who listens."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from transformers import PreTrainedTokenizerBase

from service.editing.entity.book import EntityBook
from service.editing.overlays import Overlay
from service.engine.explaining import Record
from service.engine.reading import Reading
from service.engine.sampling import Choice, Chooser, Sampling
from service.engine.writing import Writing


class FinishReason(StrEnum):
    STOP = "stop"  # the model ended the text, or a stop string came
    LENGTH = "length"  # max_new_tokens, or the model's last position


@dataclass(frozen=True)
class Wanted:
    """A text to be continued under the overlay that it pins to its end."""

    prompt: tuple[int, ...]  # token ids, one at least
    overlay: Overlay | None  # on the model's device
    max_new_tokens: int  # no more than the model has positions for; one at least
    sampling: Sampling = field(default_factory=Sampling)
    stops: tuple[str, ...] = ()  # none empty
    streamed: bool = False  # its listener hears of every piece, not of the end alone
    explain: bool = False  # what its overlay does is recorded


@dataclass(frozen=True)
class Piece:
    """What a step added to a streamed text."""

    text: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Generation:
    """A whole text. Its choices are without the one that ended it."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    choices: tuple[Choice, ...]
    record: Record | None = None  # if it was to be explained; the edits are still to be named

    @property
    def completion_tokens(self) -> int:
        return len(self.choices)


# Called in the engine's thread: pieces, then the whole text, or the error that it failed with.
Listener = Callable[[Piece | Generation | Exception], None]


class Run:
    """The state of one text; the engine's thread alone writes to it, but for `cancelled`."""

    def __init__(
        self,
        number: int,
        wanted: Wanted,
        listener: Listener,
        tokenizer: PreTrainedTokenizerBase,
        ends: frozenset[int],
    ) -> None:
        self.asked_at = time.monotonic()
        self.first_token_at: float | None = None  # when it took its first token
        self.last_token_at: float | None = None  # and its last
        self.number = number  # no two of an engine have the same
        self.wanted = wanted
        self.chooser = Chooser(wanted.sampling, wanted.prompt)
        self.choices: list[Choice] = []
        last = len(wanted.prompt) - 1
        self.record = Record(wanted.overlay, last) if wanted.explain else None
        self._reading: Reading | None = None
        self.slot = 0  # where the engine keeps what gates must remember of it
        self.cancelled = False  # nobody waits for it any more
        self.ended: FinishReason | None = None
        self._listener = listener
        self._tokenizer = tokenizer
        self._ends = ends
        self._writing = Writing(tokenizer, wanted.stops)

    @property
    def tokens(self) -> list[int]:
        """Prompt and continuation."""
        return [*self.wanted.prompt, *(choice.token for choice in self.choices)]

    def read(self, book: EntityBook) -> Reading:
        """What the text asks of the book that it pins, up to its last token. A prompt takes time to
        be read: in the thread that runs the model.
        """
        if self._reading is None:
            self._reading = Reading(book, self.wanted.prompt)
        new = self.choices[self._reading.known - len(self.wanted.prompt) :]
        self._reading.read([choice.token for choice in new])
        return self._reading

    def take(self, choice: Choice) -> None:
        """Takes the next token; it may end the text, which then is told."""
        if choice.token in self._ends:
            self.ended = FinishReason.STOP
        else:
            self.choices.append(choice)
            text = self._write(choice)
            if self._writing.stopped:
                self.ended = FinishReason.STOP
            elif len(self.choices) == self.wanted.max_new_tokens:
                self.ended = FinishReason.LENGTH
            if self.wanted.streamed:
                self.tell(Piece(text, (choice,)))
        if self.ended is not None:
            self._end(self.ended)

    def tell(self, event: Piece | Generation | Exception) -> None:
        try:
            self._listener(event)
        except Exception:  # its event loop is closed: nobody waits
            self.cancelled = True

    def _write(self, choice: Choice) -> str:
        """Text is made step by step only where somebody looks at each."""
        if self.wanted.streamed or self.wanted.stops:
            return self._writing.add(choice.token)
        return ""

    def _end(self, reason: FinishReason) -> None:
        if self.wanted.streamed or self.wanted.stops:
            rest = self._writing.end()
            if rest and self.wanted.streamed:
                self.tell(Piece(rest, ()))
            text = self._writing.text
        else:
            text = str(self._tokenizer.decode([choice.token for choice in self.choices]))
        prompt_tokens = len(self.wanted.prompt)
        self.tell(Generation(text, reason, prompt_tokens, tuple(self.choices), self.record))
