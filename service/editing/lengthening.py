"""Tells whether the text behind a target makes its last word or number a longer one."""

import re

from service.editing.scripts import is_spaced, is_word

# What goes on with a number: 1210 + .5, 1,210 + ,000, 1882 + -83.
NUMBER = re.compile(r"[.,:/‐‑–-]?\d")
HYPHENATED = re.compile(r"[‐‑-]\w")  # Guinea + -Bissau


def can_be_lengthened(target: str) -> bool:
    """Whether another character could make its last word or number a longer one: not behind a
    sign, and in scripts without spaces nobody can tell.
    """
    return is_word(target[-1]) and is_spaced(target[-1])


def lengthens(target: str, rest: str) -> bool:
    """Whether the text `rest`, right behind `target`, makes its last word or number longer."""
    if not rest or not can_be_lengthened(target):
        return False
    if is_word(rest[0]) and is_spaced(rest[0]):
        return True
    if target[-1].isdigit() and NUMBER.match(rest):
        return True
    return HYPHENATED.match(rest) is not None
