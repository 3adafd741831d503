"""Tokens to text as they come: no half characters, and nothing from a stop string on."""

from collections.abc import Sequence

from tokenizers.decoders import DecodeStream
from transformers import PreTrainedTokenizerBase


class Writing:
    """The text of one generation. What may yet be the beginning of a stop string is held back."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._stops = stops
        self._longest = max((len(stop) for stop in stops), default=1)
        self._stream = DecodeStream(skip_special_tokens=False)
        self._tokens: list[int] = []
        self._shown = ""
        self._held = ""
        self.stopped = False  # a stop string came

    def add(self, token: int) -> str:
        """Takes one token and gives the text that it lets be shown."""
        self._tokens.append(token)
        self._held += self._stream.step(self._backend, token) or ""
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._held = self._held[: min(found)]
            return self._show(len(self._held))
        return self._show(len(self._held) - self._unsure())

    def end(self) -> str:
        """What was held back, when no more comes: half characters too."""
        if not self.stopped:
            whole = str(self._tokenizer.decode(self._tokens))
            written = self._shown + self._held
            if whole.startswith(written):
                self._held += whole[len(written) :]
        return self._show(len(self._held))

    @property
    def text(self) -> str:
        """All that was shown."""
        return self._shown

    def _show(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        self._shown += shown
        return shown

    def _unsure(self) -> int:
        """How many characters at the end may begin a stop string."""
        for length in range(min(self._longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return 0
