"""Finds the subject of a correction that names none: the longest name that all phrasings share.

A rule of writing, not of meaning: words in capitals and numbers make names; where there are none,
words that are no function words do.
"""

import re
from collections.abc import Iterator, Sequence

from service.domain.function_words import FUNCTION_WORDS
from service.domain.subject_index import SubjectIndex, normal

_WORD = re.compile(r"\w+(?:[-.'’&]\w+)*")
# What stands between the words of one name.
_WITHIN = frozenset(
    "& and al da de del della der di du el for in la le of on the van von y".split()  # noqa: SIM905
)
_GAP = re.compile(r"\s*|\.\s")


def found_subject(prompt: str, paraphrases: Sequence[str]) -> str | None:
    """A span of the prompt; None where nothing in it looks like a name."""
    for candidates in (_names(prompt), _words(prompt)):
        shared = [one for one in candidates if all(_is_named(one, p) for p in paraphrases)]
        if shared:
            return max(shared, key=len)
    return None


def names_nothing(subject: str) -> bool:
    """Whether it has no letter or digit, or function words alone: it stands in nearly any text."""
    words = _WORD.findall(subject.lower())
    return not words or all(word in FUNCTION_WORDS for word in words)


def _is_named(subject: str, text: str) -> bool:
    return bool(SubjectIndex().with_subjects([normal(subject)]).named_in(text))


def _names(text: str) -> Iterator[str]:
    """Runs of words in capitals or numbers, with what may stand between those of one name."""
    start = end = reach = -1  # of the name so far, and of what may belong to it
    for word in _WORD.finditer(text):
        letters, begin = word.group(), word.start()
        goes_on = start >= 0 and _GAP.fullmatch(text, reach, begin) is not None
        if _is_name(letters) and (goes_on or letters.lower() not in FUNCTION_WORDS):
            if not goes_on and start >= 0:
                yield text[start:end]
            start = start if goes_on else begin
            end = reach = word.end()
        elif goes_on and letters.lower() in _WITHIN:
            reach = word.end()
        elif start >= 0:
            yield text[start:end]
            start = -1
    if start >= 0:
        yield text[start:end]


def _is_name(word: str) -> bool:
    return word[0].isupper() or word[0].isdigit()


def _words(text: str) -> Iterator[str]:
    """Runs of words that name something."""
    start = end = -1
    for word in _WORD.finditer(text):
        names = word.group().lower() not in FUNCTION_WORDS
        if names and start >= 0 and text[end : word.start()].isspace():
            end = word.end()
            continue
        if start >= 0:
            yield text[start:end]
        start, end = (word.start(), word.end()) if names else (-1, -1)
    if start >= 0:
        yield text[start:end]
