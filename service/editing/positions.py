"""Where in a prompt its subject stands, in tokens."""

from enum import StrEnum

from service.domain.subjects import Span, places_of
from service.editing.tokens import Prompt


class Position(StrEnum):
    """Which token locate-and-edit takes for the subject's."""

    FIRST = "subject_first"
    LAST = "subject_last"
    AFTER_LAST = "subject_after_last"


def subject_spans(prompt: Prompt, subject: str) -> tuple[Span, ...]:
    """The characters of `prompt.text` at each place that is taken for the subject, ascending.
    Raises `ValueError` where there is none.
    """
    taken = places_of(subject, prompt.text[prompt.start : prompt.end]).taken
    if not taken:
        raise ValueError("is not in the prompt as the model sees it")
    return tuple((prompt.start + start, prompt.start + end) for start, end in taken)


def subject_tokens(prompt: Prompt, subject: str, position: Position) -> tuple[int, ...]:
    """The index of that token of each place, ascending. Raises `ValueError` if there is no place,
    or if at one of them no token follows that is to be followed.
    """
    tokens = (span_token(prompt, span, position) for span in subject_spans(prompt, subject))
    return tuple(dict.fromkeys(tokens))  # two places may lie in one token


def subject_token(prompt: Prompt, subject: str, position: Position = Position.LAST) -> int:
    """The first of `subject_tokens`."""
    return subject_tokens(prompt, subject, position)[0]


def span_token(prompt: Prompt, span: Span, position: Position) -> int:
    """The index of that token of some characters of `prompt.text`."""
    start, end = span
    # Tokens that the tokenizer adds (a BOS) cover no characters. Bytes of one character each
    # cover it whole: the last of them counts.
    covering = [i for i, (first, last) in enumerate(prompt.spans) if first < end and last > start]
    if not covering:
        raise ValueError("has no tokens of its own")
    if position is Position.FIRST:
        return covering[0]
    if position is Position.LAST:
        return covering[-1]
    if covering[-1] + 1 == len(prompt.tokens):
        raise ValueError("no token follows it")
    return covering[-1] + 1
