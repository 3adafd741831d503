"""Where in a prompt its subject stands, in tokens."""

from enum import StrEnum

from service.editing.tokens import Prompt


class Position(StrEnum):
    """Which token locate-and-edit takes for the subject's."""

    FIRST = "subject_first"
    LAST = "subject_last"
    AFTER_LAST = "subject_after_last"


def subject_token(prompt: Prompt, subject: str, position: Position = Position.LAST) -> int:
    """The index of that token of the first occurrence of `subject` in the prompt. Raises
    `ValueError` if it does not occur, or if no token follows one that is to be followed.
    """
    start = prompt.text.find(subject, prompt.start)
    if start < 0:
        raise ValueError("is not in the prompt as the model sees it")
    end = start + len(subject)
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
