"""Finds the subject of a correction that names none: the longest name that all phrasings share.

A rule of writing, not of meaning: words in capitals and numbers make names; where there are none,
words that are no function words do. A name that is not shared leaves the correction without a
subject: what else is shared would be what is asked, and stand in other subjects' questions as well.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from service.domain.function_words import FUNCTION_WORDS
from service.domain.longer_names import ROLES
from service.domain.mentions import last_sentence
from service.domain.subject_index import SubjectIndex, normal

# Vowel signs and accents, which are parts of words.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c)[0] == "M")
_WORD = re.compile(rf"[\w{_MARKS}]+(?:[-.'’&][\w{_MARKS}]+)*")
# What stands between the words of one name.
_WITHIN = frozenset(
    "& and al da de del della der di du el for in la le of on the van von y".split()  # noqa: SIM905
)
_GAP = re.compile(r"\s*|\.\s")
_POSSESSIVE = re.compile(r"['’]s$")
_ARTICLE = re.compile(r"[a-z]['’][^\W\d_a-z]")
_OFFICE = re.compile(r"(?:(\w+) )+of ", re.IGNORECASE)
# By themselves they say when, not what about.
_DATES = frozenset(
    """
    january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday
    """.split()  # noqa: SIM905
)
LONGEST_ACRONYM = 4  # of those that name an office, as CEO
ABBREVIATION = 3  # letters before a full stop that ends no sentence


def found_subject(prompt: str, paraphrases: Sequence[str]) -> str | None:
    """A span of the prompt, as Unicode composes it; None where nothing in it looks like a name, or
    nothing that does is in all phrasings.
    """
    prompt = unicodedata.normalize("NFC", prompt)
    before, _ = last_sentence(prompt)
    names = [(start, name) for start, name in _names(prompt) if _tells(name, prompt, start)]
    if not names:
        shared = [word for _, word in _words(prompt) if _are_named(word, paraphrases)]
        return shared[-1] if shared else None
    shared_names = [
        (start >= len(before), len(name.split()), start, name)
        for start, name in names
        if _are_named(name, paraphrases)
    ]
    # One of the question's own sentence, then one of many words, then the last.
    return max(shared_names)[-1] if shared_names else None


def names_nothing(subject: str) -> bool:
    """Whether it has no letter or digit, or function words alone: it stands in nearly any text."""
    words = _WORD.findall(subject.lower())
    return not words or all(word in FUNCTION_WORDS for word in words)


def _are_named(subject: str, texts: Sequence[str]) -> bool:
    index = SubjectIndex().with_subjects([normal(subject)])
    return all(index.named_in(text) for text in texts)


def _tells(name: str, text: str, start: int) -> bool:
    """Whether it may be a subject: no date, and not what somebody is, as in "the CEO of"."""
    words = [word.lower() for word in _WORD.findall(name)]
    if all(word.isdigit() or word in _DATES for word in words):
        return name == text.strip()
    return not text.startswith(" of ", start + len(name))


def _names(text: str) -> Iterator[tuple[int, str]]:
    """Runs of words in capitals or numbers, with what may stand between those of one name, and
    where each begins.
    """
    start = end = reach = -1  # of the name so far, and of what may belong to it
    last = ""  # its last word
    for word in _WORD.finditer(text):
        letters, begin = word.group(), word.start()
        goes_on = start >= 0 and _goes_on(text, reach, begin, last, letters)
        if _is_name(letters) and not _labels(text, word.end()):
            if goes_on or letters.lower() not in FUNCTION_WORDS:
                if not goes_on and start >= 0:
                    yield _named(text, start, end)
                start = start if goes_on else begin
                end = reach = word.end()
                last = letters
                continue
        elif goes_on and letters.lower() in _WITHIN:
            reach = word.end()
            continue
        if start >= 0:
            yield _named(text, start, end)
            start = -1
    if start >= 0:
        yield _named(text, start, end)


def _goes_on(text: str, reach: int, begin: int, last: str, word: str) -> bool:
    """Whether a word is of the name that reaches up to where it begins."""
    gap = _GAP.fullmatch(text, reach, begin)
    if gap is None:
        return False
    stopped = "." in gap.group()
    return not stopped or (len(last) <= ABBREVIATION and word.lower() not in FUNCTION_WORDS)


def _named(text: str, start: int, end: int) -> tuple[int, str]:
    """A run without what is said of whom it names: his office, and what he has."""
    name = _POSSESSIVE.sub("", text[start:end])
    owner, _, owned = name.replace("’", "'").partition("'s ")
    if owned and all(_is_office(word) for word in _WORD.findall(owned)):
        name = name[: len(owner)]
    office = _OFFICE.match(name)
    if office is not None and all(
        _is_office(word) for word in _WORD.findall(name[: office.end() - len("of ")])
    ):
        return start + office.end(), name[office.end() :]
    return start, name


def _is_office(word: str) -> bool:
    return word.lower() in ROLES or (word.isupper() and len(word) <= LONGEST_ACRONYM)


def _is_name(word: str) -> bool:
    """Whether a word is written as names are, also as in "d'Ivoire"."""
    return word[0].isupper() or word[0].isdigit() or _ARTICLE.match(word) is not None


def _labels(text: str, end: int) -> bool:
    """Whether the word that ends there is one as in "Answer:"."""
    return text.startswith(":", end)


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Runs of words that name something, and where each begins."""
    start = end = -1
    for word in _WORD.finditer(text):
        names = word.group().lower() not in FUNCTION_WORDS and not _labels(text, word.end())
        if names and start >= 0 and text[end : word.start()].isspace():
            end = word.end()
            continue
        if start >= 0:
            yield _named(text, start, end)
        start, end = (word.start(), word.end()) if names else (-1, -1)
    if start >= 0:
        yield _named(text, start, end)
