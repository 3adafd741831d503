"""Tells a name that stands by itself in a text from a part of a longer name that nobody knows.

Whoever asks about South Sudan or the University of Oklahoma Bookstore does not ask about Sudan or
the University of Oklahoma. A rule of writing: only a text that writes names in capitals, and other
words not, shows where a name ends.
"""

import re

# Before another name these make a name of their own.
BEFORE = frozenset(
    """
    american british cape central dutch east eastern equatorial fort french great greater lake
    lower mount mt new north northeast northeastern northern northwest northwestern papua port
    portuguese saint san santa so south southeast southeastern southern southwest southwestern
    spanish st upper west western
    """.split()  # noqa: SIM905  # a word a line is no list to read
)
# Behind a name these are what somebody is there, and no part of it.
ROLES = frozenset(
    """
    ambassador chairman chairwoman chancellor chief coach director emperor empress founder
    governor head i king mayor minister premier president prime prince princess queen secretary
    senator
    """.split()  # noqa: SIM905
)
# A headline's other words are all in capitals.
SMALL_IN_TITLES = frozenset(
    "a an and as at but by for from in into nor of on or over the to vs with".split()  # noqa: SIM905
)
_WORD = re.compile(r"\w+")
# Between the parts of a name: a space, a slash, or one of Unicode's hyphens and dashes.
_NEXT = re.compile(r"[ /\u002d\u2010-\u2014](\w+)")
_PREVIOUS = re.compile(r"(\w+)(\.?)[ /\u002d\u2010-\u2014]$")
LONGEST_WORD = 32  # characters that are looked at before a name


def in_longer_name(text: str, start: int, end: int) -> bool:
    """Whether the name at `text[start:end]`, where words stand a space apart, is a part of a longer
    one. `shows_names` must be true of the text.
    """
    following = _NEXT.match(text, end)
    if following is not None:
        word = following.group(1)
        if word[0].isupper() and not _is_acronym(word) and word.lower() not in ROLES:
            return True
    previous = _PREVIOUS.search(text[max(0, start - LONGEST_WORD) : start])
    if previous is None:
        return False
    word, stop = previous.groups()
    is_initial = bool(stop) and len(word) == 1
    return word[0].isupper() and (is_initial or word == "DR" or word.lower() in BEFORE)


def shows_names(text: str) -> bool:
    """Whether it writes names in capitals, and other words not."""
    return any(
        word.group()[0].islower() and word.group() not in SMALL_IN_TITLES
        for word in _WORD.finditer(text)
    ) and any(letter.isupper() for letter in text)


def _is_acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()
