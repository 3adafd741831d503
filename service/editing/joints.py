"""Decides what stands between a prompt and its target where both are written as one text.

It is a space or nothing. Rules of writing decide by the characters on either side. Where they leave
doubt (`np.` + `array`, `St.` + `Louis`), a choice is not sure, and the model should say which of
the two it finds likelier.
"""

import re
import unicodedata
from dataclasses import dataclass

from service.editing.scripts import is_spaced, is_word

OPENING = "([{<“‘«‹„‚¿¡"
CLOSING = ")]}>”’»›,;:!?…"
QUOTES = "\"'`"
CURRENCIES = frozenset("$€£¥₹₩₽₺")
# What stands in the middle of an address, a path, a tag or an identifier.
LINKS = frozenset("/\\@#_~^")
# Between two operands these have a space on both sides, or on neither.
OPERATORS = frozenset("=+*-−–—&|<>")
HYPHENS = frozenset("-‐‑–")
# French and Italian leave a vowel out: l' + Italie.
ELISION = re.compile(r"\b[^\W\d_]{1,2}['’]$")
# Code that goes on inside a name, which prose never does: area = np.
DOTTED = re.compile(r"(=|^\s*(import|from)\s)\s*[^\W\d]\w*(\.\w+)*\.$")
# What an apostrophe before the target stands for: England + 's.
CONTRACTION = re.compile(r"['’](s|t|d|m|re|ve|ll)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Joint:
    """What goes between a prompt and a target."""

    text: str  # a space, or nothing
    sure: bool = True  # False: both are written, and the model should decide


SPACE, NOTHING = Joint(" "), Joint("")
PERHAPS_SPACE, PERHAPS_NOTHING = Joint(" ", sure=False), Joint("", sure=False)


def joint_of(before: str, target: str) -> Joint:
    """Returns the joint between the text `before` and `target`, which is not empty."""
    if not before or before[-1].isspace() or target[0].isspace():
        return NOTHING
    last, first = before[-1], target[0]
    if unicodedata.category(first).startswith("M"):
        return NOTHING
    if not is_spaced(last):
        return NOTHING
    if is_word(last) and is_word(first) and last != "_":
        # A number may go on or have a unit or an ending, and a Korean word a particle.
        doubtful = last.isdigit() or (_is_hangul(last) and _is_hangul(first))
        return PERHAPS_SPACE if doubtful else SPACE
    if not is_word(first):
        found = _before_sign(last, target)
        if found is not None:
            return found
    return _behind_sign(before, target)


def _is_hangul(character: str) -> bool:
    return "가" <= character <= "힣"


def _before_sign(last: str, target: str) -> Joint | None:
    """The joint before a target that begins with a sign; None where the prompt decides."""
    first, second = target[0], target[1:2]
    within_word = is_word(last) and bool(second) and is_word(second)
    if CONTRACTION.match(target):
        return NOTHING
    if first == ".":
        return PERHAPS_SPACE if second and is_word(second) else NOTHING  # .fr, or np + .array
    if first == "%":
        return NOTHING if last.isdigit() else SPACE
    if first == "<":
        return None
    if first in CLOSING or first == "/":
        return NOTHING
    if first in HYPHENS and within_word:
        return PERHAPS_NOTHING  # COVID + -19, but "The temperature is" + -5
    if first in "([+@°" and is_word(last):
        return PERHAPS_SPACE  # a call or a remark, C + ++, john + @example.org
    return None


def _behind_sign(before: str, target: str) -> Joint:
    """The joint behind a prompt that ends with a sign, or before a sign that has a space before
    it.
    """
    last, first = before[-1], target[0]
    earlier = before[-2:-1]
    apart = not earlier or earlier.isspace() or earlier in OPENING
    joined = bool(earlier) and is_word(earlier)
    between_digits = earlier.isdigit() and first.isdigit()
    if last == "_" or (last in OPENING and last != "<"):
        return NOTHING
    if ELISION.search(before):
        return PERHAPS_NOTHING
    if last in QUOTES or last == "’":
        return NOTHING if apart else PERHAPS_SPACE
    if last in CURRENCIES:
        return SPACE if earlier.isdigit() else NOTHING
    if last == "#" and joined:
        return PERHAPS_SPACE  # C#
    if last in LINKS:
        return NOTHING
    if last == ".":
        line = before.rpartition("\n")[2]
        return _behind_dot(line, joined, apart, between_digits, first)
    if last in ":," and (between_digits or earlier == last):
        return PERHAPS_NOTHING
    if last in OPERATORS:
        if joined:
            return NOTHING if last in HYPHENS else PERHAPS_NOTHING
        return PERHAPS_SPACE if apart else PERHAPS_NOTHING
    return SPACE


def _behind_dot(line: str, joined: bool, apart: bool, between_digits: bool, first: str) -> Joint:
    if between_digits or apart:
        return PERHAPS_NOTHING
    if joined and (first.islower() or first == "_"):
        return NOTHING if DOTTED.search(line) else PERHAPS_NOTHING  # inside a name: np.array
    return PERHAPS_SPACE
