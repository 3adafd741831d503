"""Where a text names an edit's subject."""

import itertools
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# How the Unicode names of those letters begin whose scripts put no spaces between words.
UNSPACED = (
    "BOPOMOFO",
    "CJK",
    "HALFWIDTH KATAKANA",
    "HIRAGANA",
    "IDEOGRAPHIC",
    "KATAKANA",
    "KHMER",
    "LAO",
    "MYANMAR",
    "THAI",
)

Span = tuple[int, int]  # the characters from the first one up to the second


@dataclass(frozen=True)
class Places:
    """Where a text names a subject; spans are in ascending order."""

    taken: tuple[Span, ...]  # that an edit goes by: none where the text does not name the subject
    whole: bool  # the subject stands there as a whole word
    left: tuple[Span, ...]  # inside other words, and not taken


def places_of(subject: str, text: str) -> Places:
    """Takes every place where the subject stands in the text as a whole word; if it does so
    nowhere, the first place of all. White space at the subject's edges does not count, nor does
    which of several equivalent ways Unicode has to write a character.
    """
    found = list(_occurrences(comparable(subject), text))
    whole = [span for span in found if _is_whole(text, *span)]
    taken = tuple(whole or found[:1])
    left = set(found).difference(taken)
    return Places(taken, bool(whole), tuple(sorted(left)))


def comparable(subject: str) -> str:
    """The same for all subjects that are looked for alike."""
    return unicodedata.normalize("NFD", subject.strip())


def warnings_of(subject: str, prompt: str) -> tuple[str, ...]:
    """What the subject of an edit and its places say that the client may not have meant."""
    warnings = []
    if subject != subject.strip():
        warnings.append("the subject is looked for without the white space at its edges")
    places = places_of(subject, prompt)
    count = len(places.taken)
    if count > 1:
        warnings.append(
            f"the subject stands {count} times as a whole word in the prompt: all of them are taken"
        )
    if places.whole and places.left:
        count, first = len(places.left), places.left[0][0]
        often = f"{count} times inside another word, first" if count > 1 else "inside another word,"
        warnings.append(
            f"the subject also stands {often} at character {first}: it is not taken there"
        )
    if places.taken and not places.whole:
        warnings.append(
            "the subject does not stand as a whole word in the prompt: its first place is taken, "
            f"inside another word at character {places.taken[0][0]}"
        )
    return tuple(warnings)


def _occurrences(wanted: str, text: str) -> Iterator[Span]:
    """Yields the spans of `wanted`, which is `comparable`, in the text's own characters. A letter
    is not parted from its accents: `e` is not found in `é`, however that is written.
    """
    if not wanted:
        return
    starts = [i for i, c in enumerate(text) if i == 0 or not unicodedata.combining(c)]
    bounds = [*starts, len(text)]
    parts = [unicodedata.normalize("NFD", text[i:j]) for i, j in itertools.pairwise(bounds)]
    # Where each part begins in the decomposed text, and where in the text itself.
    edges = dict(zip(itertools.accumulate(map(len, parts), initial=0), bounds, strict=True))
    decomposed = "".join(parts)
    at = decomposed.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if at in edges and end in edges:
            yield edges[at], edges[end]
        else:
            end = at + 1
        at = decomposed.find(wanted, end)


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on beyond either edge."""
    return not any(0 < i < len(text) and are_joined(text[i - 1], text[i]) for i in (start, end))


def are_joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return unicodedata.category(right)[0] == "M" or (_spells(left) and _spells(right))


def _spells(character: str) -> bool:
    """Whether words are parted by spaces that are spelled with this letter, digit or mark."""
    is_part = unicodedata.category(character)[0] in "LMN"
    return is_part and not unicodedata.name(character, "").startswith(UNSPACED)
