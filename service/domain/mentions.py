"""Decides which of the subjects that a text names it asks about at its end.

A question is about a subject of its own sentence. Where that has none it goes on with what was
named before it, unless it names something else; across turns only where it refers back.
"""

import re

from service.domain.function_words import FUNCTION_WORDS, REFERRING
from service.domain.subject_index import SubjectIndex

_BREAK = re.compile(r"[.!?…]['\")\]]*\s+|[。！？]|\n")
_WORD = re.compile(r"\w+")
_LABEL = re.compile(r"\s*\w+\s*:")


def asked_about(
    index: SubjectIndex, earlier: frozenset[str], message: str, *, whole: bool = True
) -> frozenset[str]:
    """The subjects that the end of `message` may ask about; `earlier` are those of other turns.
    Unless it is the `whole` message, its beginning is cut off.
    """
    before, sentence = last_sentence(message)
    named = index.named_in(message, whole=whole)
    # A subject may have a full stop of its own, behind which the sentence seems to begin.
    own = named - index.named_in(before, whole=whole)
    own |= index.named_in(sentence) & named
    if own:
        return own
    if names_something(sentence):
        return frozenset()
    if named:
        return named
    return earlier if refers_back(sentence) else frozenset()


def last_sentence(text: str) -> tuple[str, str]:
    """What comes before a text's last sentence with words in it, and that sentence. A label as in
    "Answer:" is none.
    """
    # From the last word's end on there is no sentence. In time that is linear in a hostile text.
    end = next((i + 1 for i in range(len(text) - 1, -1, -1) if text[i].isalnum()), 0)
    breaks = [0, *(found.end() for found in _BREAK.finditer(text, 0, end))]
    for start in reversed(breaks):
        label = _LABEL.match(text, start)
        if _WORD.search(text, label.end() if label else start, end):
            return text[:start], text[start:]
    return "", text


def names_something(sentence: str) -> bool:
    """Whether it has a word in capitals that is more than the beginning of a sentence."""
    for word in _WORD.finditer(sentence):
        letters = word.group()
        labels = sentence[word.end() :].lstrip().startswith(":")
        if letters[0].isupper() and letters.lower() not in FUNCTION_WORDS and not labels:
            return True
    return False


def refers_back(sentence: str) -> bool:
    return any(word.group().lower() in REFERRING for word in _WORD.finditer(sentence))
