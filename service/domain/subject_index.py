"""Finds which of many subjects a text names.

A text names a subject where it stands in it as whole words, whatever the letter case, the white
space between its words and the way that Unicode writes its characters. A name inside a longer one
of the index ("York" in "New York") is not named by it, nor is one inside a longer one that the
index does not have ("Sudan" in "South Sudan"), where letter cases show that.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from service.domain.longer_names import in_longer_name, shows_names
from service.domain.subjects import are_joined

_PIECES = re.compile(r"\w+|\S")


def normal(text: str) -> str:
    """The same for all texts that are searched alike."""
    return spaced(text).casefold()


# Before a whole message in the place of a subject: no `normal` text has it.
WHOLE = "\n"


def as_whole(message: str) -> str:
    """What stands for the subject of a question that names none: the message word for word."""
    return WHOLE + normal(message)


def spaced(text: str) -> str:
    """Its words a space apart, and its characters as Unicode writes them most simply."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


@dataclass(frozen=True)
class SubjectIndex:
    """Immutable: `with_subjects` returns another one."""

    # Normal subjects by their first two pieces, or their only one: many begin with "the".
    by_head: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    longest: int = 0  # characters of the longest of them

    def with_subjects(self, subjects: Iterable[str]) -> "SubjectIndex":
        """Returns one that has these too, each `normal` and not empty. Whole messages are left
        out.
        """
        by_head = dict(self.by_head)
        longest = self.longest
        for subject in subjects:
            if subject.startswith(WHOLE):
                continue  # it is no name
            head = _head(subject)
            known = by_head.get(head, ())
            if subject not in known:
                by_head[head] = (*known, subject)
                longest = max(longest, len(subject))
        return SubjectIndex(by_head, longest)

    def named_in(self, text: str, *, whole: bool = True) -> frozenset[str]:
        """The subjects that a text names. Unless it is the `whole` text, nothing is known of what
        comes before it: what stands at its beginning is not taken for a whole word.
        """
        if not self.by_head:
            return frozenset()
        written = spaced(text)
        searched = written.casefold()  # as `normal` has it
        found = sorted(self._spans(searched, whole), key=lambda span: (span[0], -span[1]))
        # Of a few letters the small form is longer: names are not told apart there.
        cased = bool(found) and len(written) == len(searched) and shows_names(written)
        named: set[str] = set()
        reach = -1  # where the spans so far end: a later one that ends there too lies inside
        for start, end in found:
            if end > reach:
                reach = end
                if not (cased and in_longer_name(written, start, end)):
                    named.add(searched[start:end])
        return frozenset(named)

    def _spans(self, text: str, whole: bool) -> Iterator[tuple[int, int]]:
        starts = list(_starts(text))
        for number, (start, piece) in enumerate(starts):
            if start == 0 and not whole:
                continue
            following = tuple(one for _, one in starts[number + 1 : number + 2])
            for head in {(piece,), (piece, *following)}:
                for subject in self.by_head.get(head, ()):
                    end = start + len(subject)
                    if text.startswith(subject, start) and not _continues(text, end):
                        yield start, end


def _starts(text: str) -> Iterator[tuple[int, str]]:
    """Where a subject may begin, and the piece of text that begins there."""
    for piece in _PIECES.finditer(text):
        start, letters = piece.start(), piece.group()
        if letters.isascii():
            if not _continues(text, start):
                yield start, letters
            continue
        # Scripts without spaces between words: each of their characters may begin one.
        begun = [i for i in range(start, piece.end()) if not _continues(text, i)]
        for at, until in itertools.pairwise([*begun, piece.end()]):
            yield at, text[at:until]


def _head(subject: str) -> tuple[str, ...]:
    return tuple(piece for _, piece in itertools.islice(_starts(subject), 2))


def _continues(text: str, at: int) -> bool:
    """Whether the character there goes on with a word."""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    # Most texts are ASCII, of which the answer is had at once.
    if left.isascii() and right.isascii():
        return left.isalnum() and right.isalnum()
    return are_joined(left, right)
