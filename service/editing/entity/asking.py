"""Where a text asks, and in what way an answer would go on: told from its tokens alone."""

from bisect import bisect_right
from collections.abc import Sequence
from enum import IntEnum
from functools import cache

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from service.domain.mentions import last_sentence
from service.editing.tokens import chat_ids


class Junction(IntEnum):
    """What an answer joins on to."""

    BARE = 0  # a word or a mark: the answer begins with the space that parts it, if there is one
    SPACED = 1  # white space
    CHAT = 2  # the beginning of the assistant's turn


class Asking:
    """Reads the tokens of one tokenizer. Safe to use from any thread."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        self._special = {token for token, content in added if content.special}
        self._special |= set(tokenizer.all_special_ids)
        self._lead, self._turn = _around_message(tokenizer)
        self._is_blank = cache(lambda token: not self.text([token]).strip())

    def junction(self, tokens: Sequence[int]) -> Junction:
        """Returns what an answer that follows these tokens joins on to."""
        if self._ends_turn(tokens):
            return Junction.CHAT
        return Junction.SPACED if self.text(tokens[-1:])[-1:].isspace() else Junction.BARE

    def place(self, tokens: Sequence[int]) -> int:
        """The index of the token at which a prompt has been asked as a whole: the last one that is
        no white space, in a chat the last one of the user's message.
        """
        end = len(tokens) - (len(self._turn) if self._ends_turn(tokens) else 0)
        last = end - 1
        while last > 0 and self._is_blank(tokens[last]) and tokens[last] not in self._special:
            last -= 1
        return last

    def message(self, tokens: Sequence[int]) -> int:
        """The index at which the last message begins: behind the last special token."""
        marks = (i for i in range(len(tokens) - 1, -1, -1) if tokens[i] in self._special)
        return next(marks, -1) + 1

    def is_first(self, tokens: Sequence[int]) -> bool:
        """Whether nothing comes before the last message but what the chat template puts there."""
        start = self.message(tokens[: self.place(tokens) + 1])
        return start <= 1 or tuple(tokens[:start]) == self._lead[:start]

    def message_text(self, tokens: Sequence[int], place: int) -> str:
        """The last message up to the token `place`."""
        asked = tokens[: place + 1]
        return self.text(asked[self.message(asked) :])

    def sentence(self, tokens: Sequence[int], place: int) -> int:
        """The index at which the last sentence up to the token `place` begins; not that of the
        text's first token, whose state is of no text, if there is another one.
        """
        start = self.message(tokens[: place + 1])
        before, _ = last_sentence(self.text(tokens[start : place + 1]))
        lengths = range(start, place + 1)
        begin = bisect_right(
            lengths, len(before.rstrip()), key=lambda end: len(self.text(tokens[start:end]))
        )
        first = lengths[begin - 1] if before.strip() else start
        return min(max(first, 1), place)

    def text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))

    def _ends_turn(self, tokens: Sequence[int]) -> bool:
        count = len(self._turn)
        return 0 < count < len(tokens) and tuple(tokens[-count:]) == self._turn


def _around_message(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens that the chat template puts before a conversation's first message of a user, and
    between it and the answer to it; none where the model has no template.
    """
    if tokenizer.chat_template is None:
        return (), ()
    try:
        one, other = (
            chat_ids(tokenizer, [{"role": "user", "content": content}]) for content in ("a", "b")
        )
    except TemplateError:
        return (), ()
    lead, turn = _alike(one, other), _alike(one[::-1], other[::-1])
    return one[:lead], one[len(one) - turn :]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
