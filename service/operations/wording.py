"""Turns corrections into phrasings in tokens.

Where the rules of writing leave doubt, the base model is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError

from service.domain.edits import Correction, Format
from service.domain.spellings import spellings_of
from service.editing.lengthening import can_be_lengthened
from service.editing.requests import Phrasing
from service.editing.tokens import joint_between, text_of
from service.engine.engine import Engine
from service.engine.scoring import Continuation


@dataclass(frozen=True)
class Worded:
    """How one correction reaches the model."""

    phrasings: tuple[Phrasing, ...]  # the prompt's, those of the paraphrases, other spellings
    joint: str  # what goes between prompt and target


@dataclass(frozen=True)
class Pair:
    """A prompt, and what is to follow it."""

    prompt: str
    target: str
    form: Format = Format.PLAIN
    joint: str | None = None  # None: it is to be found


# Prompts of one correction in one form that are followed by the same tokens.
_Place = tuple[int, Format, tuple[int, ...]]


@dataclass(frozen=True)
class _Text:
    """One phrasing of the correction number `edit`."""

    edit: int
    pair: Pair
    given: bool
    number: int  # as that of a phrasing
    closed: bool  # the answer ends after the target


class Wording:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def check(self, correction: Correction) -> None:
        """Raises `jinja2.TemplateError` where the model's chat template refuses the correction."""
        if Format.CHAT in correction.format.forms:
            for prompt in (correction.prompt, *correction.paraphrases):
                self._engine.prompt_tokens(prompt, Format.CHAT)

    def phrasings(self, corrections: Sequence[Correction]) -> list[Worded]:
        """The phrasings of each correction that `check` takes; a few forward passes of the base
        model at most.
        """
        texts = [
            _text(number, one, prompt, form)
            for number, one in enumerate(corrections)
            for prompt in _prompts(one)
            for form in one.format.forms
        ]
        texts = [text for text in texts if text.given or self._fits(text.pair)]
        joints = self._joints([text.pair for text in texts])
        continuations = [
            self._continuation(text.pair, joint) for text, joint in zip(texts, joints, strict=True)
        ]
        endings = self._endings(corrections, texts, continuations)
        found: list[dict[tuple[int, ...], Phrasing]] = [{} for _ in corrections]
        first: dict[int, str] = {}
        for text, joint, continuation in zip(texts, joints, continuations, strict=True):
            phrasing = Phrasing(
                continuation.prompt,
                continuation.target,
                endings[_place(text, continuation)],
                given=text.given,
                number=text.number,
                form=text.pair.form,
                answer=joint + text.pair.target,
                closed=text.closed,
            )
            # Two may be the same tokens, and what is given comes first.
            found[text.edit].setdefault(continuation.prompt, phrasing)
            first.setdefault(text.edit, joint)
        return [Worded(tuple(one.values()), first[number]) for number, one in enumerate(found)]

    def continuations(self, pairs: Sequence[Pair]) -> list[Continuation]:
        """Prompts and targets in tokens, as edits have them."""
        joints = self._joints(pairs)
        return [self._continuation(pair, joint) for pair, joint in zip(pairs, joints, strict=True)]

    def _continuation(self, pair: Pair, joint: str) -> Continuation:
        return self._engine.continuation(pair.prompt, pair.target, pair.form, joint)

    def _fits(self, pair: Pair) -> bool:
        """Whether the model takes both: a spelling may be longer than what was given, and a chat
        template may look at its letters.
        """
        try:
            both = [self._continuation(pair, joint) for joint in ("", " ")]
        except TemplateError:
            return False
        return all(len(c.prompt) + len(c.target) <= self._engine.loaded.max_tokens for c in both)

    def _joints(self, pairs: Sequence[Pair]) -> list[str]:
        """What goes between each pair: what was asked for, what the rules say, or, where they leave
        doubt, what the base model finds likelier.
        """
        tokenizer = self._engine.loaded.tokenizer
        joints: list[str] = []
        doubtful: list[int] = []
        for number, pair in enumerate(pairs):
            if pair.joint is not None:
                joints.append(pair.joint)
                continue
            before = text_of(tokenizer, pair.prompt, pair.form)
            joint = joint_between(before, pair.target, pair.form)
            joints.append(joint.text)
            if not joint.sure:
                doubtful.append(number)
        if not doubtful:
            return joints
        both = [self._continuation(pairs[n], joint) for n in doubtful for joint in ("", " ")]
        scores = [score.logprob for score in self._engine.score(None, both)]
        for number, apart, spaced in zip(doubtful, scores[::2], scores[1::2], strict=True):
            if apart != spaced:
                joints[number] = "" if apart > spaced else " "
        return joints

    def _endings(
        self,
        corrections: Sequence[Correction],
        texts: Sequence[_Text],
        continuations: Sequence[Continuation],
    ) -> dict[_Place, tuple[int, ...]]:
        """What ends each target: the turn's end in a chat whose answer ends there, and elsewhere
        what the base model would end the last word with, asked once for all prompts of a place.
        """
        endings: dict[_Place, tuple[int, ...]] = {}
        asked: dict[_Place, tuple[int, ...]] = {}
        turn_end = self._engine.turn_end() if any(text.closed for text in texts) else ()
        for text, continuation in zip(texts, continuations, strict=True):
            place = _place(text, continuation)
            correction = corrections[text.edit]
            if text.closed:
                endings[place] = turn_end
            elif not can_be_lengthened(correction.target_new):
                endings[place] = ()
            else:
                asked.setdefault(place, (*continuation.prompt, *continuation.target))
        targets = [corrections[number].target_new for number, _, _ in asked]
        tokens = self._engine.word_ends(list(asked.values()), targets)
        for place, token in zip(asked, tokens, strict=True):
            endings[place] = (token,)
        return endings


def _text(edit: int, correction: Correction, prompt: str, form: Format) -> _Text:
    given = (correction.prompt, *correction.paraphrases)
    return _Text(
        edit,
        Pair(prompt, correction.target_new, form, _joint(correction, prompt, form)),
        given=prompt in given,
        number=given.index(prompt) if prompt in given else 0,
        closed=form is Format.CHAT and not correction.continues,
    )


def _place(text: _Text, continuation: Continuation) -> _Place:
    return text.edit, text.pair.form, continuation.target


def _joint(correction: Correction, prompt: str, form: Format) -> str | None:
    """What was asked for; a spelling that ends with a space has it already. Of a correction in both
    forms it is asked for in plain text.
    """
    if form is not correction.format.forms[0]:
        return None
    apart = prompt != correction.prompt and prompt[-1:].isspace()
    return "" if apart and correction.joint == " " else correction.joint


def _prompts(correction: Correction) -> list[str]:
    """The ways to ask: those that were given come first."""
    given = dict.fromkeys((correction.prompt, *correction.paraphrases))
    others = dict.fromkeys(text for prompt in given for text in spellings_of(prompt))
    return [*given, *(prompt for prompt in others if prompt not in given)]
