"""What one text asks of an entity book, token by token, and which answer it is in the midst of.

All of it follows from the text's own tokens and the states at them: it is the same however passes
are cut, and whatever else runs beside the text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.domain.mentions import asked_about, refers_back
from service.domain.subject_index import as_whole
from service.editing.entity.asking import Junction
from service.editing.entity.book import EntityBook, Match

# Tokens before one of the model's own: its question may lie in so many, and a name in so many.
SENTENCE = 96
NAME = 8  # and one for each character, most of which take less
LONGEST_NAME = 64  # characters; longer ones are found in prompts alone


@dataclass(frozen=True)
class Question:
    """A token whose next one is wanted, and what is asked there."""

    at: int  # index of the token
    place: int  # index of the token at which it has been asked as a whole, that one at the latest
    sentence: int  # index of the first token of its last sentence
    subjects: frozenset[str]  # of the book's
    junction: Junction
    decoded: bool  # behind the prompt


@dataclass(frozen=True)
class Said:
    """An answer at work at a token: its value for one step takes the place of the head's input."""

    at: int
    answer: int
    step: int
    match: Match | None  # None: it goes on with what was begun before


class Reading:
    """One text's; for one thread at a time."""

    def __init__(self, book: EntityBook, prompt: Sequence[int]) -> None:
        if book.asking is None:
            raise ValueError("a book must be read by somebody")
        self.book = book
        self._asking = book.asking
        self._prompt = len(prompt)
        self._tokens = list(prompt)
        self._earlier: frozenset[str] = frozenset()  # subjects that the prompt names
        self._here: frozenset[str] = frozenset()  # and those that were named since
        self._by_place: dict[int, Question] = {}
        self._by_token: dict[int, Question] = {}  # whose next one is wanted
        self._matches: dict[int, Match | None] = {}  # by the same
        self._sums: dict[int, Tensor] = {}  # of a sentence's states, by the question's token
        self._last: Said | None = None
        self._read_prompt()

    @property
    def known(self) -> int:
        """How many tokens were read."""
        return len(self._tokens)

    def read(self, tokens: Sequence[int]) -> None:
        """More tokens of the text, which follow those that were read."""
        for token in tokens:
            self._tokens.append(token)
            if self.book.index.longest:
                self._read_decoded(len(self._tokens) - 1)

    def asked(self, past: int, length: int) -> list[Question]:
        """The questions whose states a pass of these tokens has."""
        return _within(self._by_place, past, length)

    def decided(self, past: int, length: int) -> list[Question]:
        """The questions of these tokens."""
        return _within(self._by_token, past, length)

    def spread(self, past: int, length: int) -> list[Question]:
        """The prompt's, if such a pass has tokens of its sentence."""
        question = self._by_token.get(self._prompt - 1)
        if question is None or not question.sentence - length < past <= question.place:
            return []
        return [question]

    def add_up(self, question: Question, first: int, states: Tensor) -> None:
        """More states [t, d] of a question's sentence, from its token `first` on; those of its
        first one begin anew, as where a text is run anew.
        """
        # In double precision, how passes are cut does not show.
        total = states.double().sum(dim=0)
        if first > question.sentence:
            total = self._sums[question.at] + total
        self._sums[question.at] = total

    def find(self, question: Question, state: Tensor) -> None:
        """Looks a question up, given the state [d] at its place, and after all of its sentence."""
        space = self.book.space
        if space is None:
            return
        if question.decoded:
            direction = space.decoded.directions(state[None])[0]
        else:
            count = question.place + 1 - question.sentence
            mean = (self._sums.pop(question.at) / count).float()
            direction = space.asked.directions(torch.cat([state, mean])[None])[0]
        self._matches[question.at] = self.book.look_up(
            question.subjects, direction, question.junction, decoded=question.decoded
        )

    def is_quiet(self, past: int, length: int) -> bool:
        """Whether nothing can be answered in a pass of these tokens."""
        goes_on = self._last is not None and self._last.at >= past - 1
        at_work = (self.asked, self.decided, self.spread)
        return not goes_on and not any(some(past, length) for some in at_work)

    def match(self, at: int) -> Match | None:
        """The nearest entry that was found for a token."""
        return self._matches.get(at)

    def said(self, past: int, length: int) -> Iterator[Said]:
        """The answers at the tokens of a pass, once their questions were looked up."""
        for at in range(max(past, self._prompt - 1), past + length):
            self._last = self._said_at(at)
            if self._last is not None:
                yield self._last

    def _said_at(self, at: int) -> Said | None:
        last = self._last
        if last is not None and last.at == at - 1:
            label = self.book.answers[last.answer].label
            if last.step + 1 < len(label) and self._tokens[at] == label[last.step]:
                return Said(at, last.answer, last.step + 1, None)
        match = self._matches.get(at)
        return Said(at, match.answer, 0, match) if match is not None and match.fires else None

    def _read_prompt(self) -> None:
        place = self._asking.place(self._tokens)
        before = self._asking.text(self._tokens[: place + 1])
        self._earlier = self.book.index.named_in(before)
        message = self._asking.message_text(self._tokens, place)
        subjects = self._whole(message)
        if self._earlier:
            subjects |= asked_about(self.book.index, self._earlier, message)
        if subjects:
            sentence = self._asking.sentence(self._tokens, place)
            junction = self._asking.junction(self._tokens)
            self._ask(
                Question(self._prompt - 1, place, sentence, subjects, junction, decoded=False)
            )

    def _whole(self, message: str) -> frozenset[str]:
        """The message, if an entry is asked by it word for word. One that refers back asks the
        same only where nothing comes before it.
        """
        whole = as_whole(message)
        if whole not in self.book.entries_of:
            return frozenset()
        if refers_back(message) and not self._asking.is_first(self._tokens):
            return frozenset()
        return frozenset([whole])

    def _read_decoded(self, at: int) -> None:
        begun = self._asking.message(self._tokens)
        near = max(begun, at - NAME - min(self.book.index.longest, LONGEST_NAME))
        text = self._asking.text(self._tokens[near:])
        self._here |= self.book.index.named_in(text, whole=near == begun) - self._earlier
        if not (self._here or self._earlier):
            return
        start = max(begun, at - SENTENCE)
        window = self._asking.text(self._tokens[start:])
        known = self._earlier | self._here
        subjects = asked_about(self.book.index, known, window, whole=start == begun)
        if subjects:
            junction = Junction.SPACED if window[-1:].isspace() else Junction.BARE
            self._ask(Question(at, at, at, subjects, junction, decoded=True))

    def _ask(self, question: Question) -> None:
        self._by_place[question.place] = question
        self._by_token[question.at] = question


def _within(questions: Mapping[int, Question], first: int, length: int) -> list[Question]:
    if not questions:
        return []
    return [questions[i] for i in range(first, first + length) if i in questions]
