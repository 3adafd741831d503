"""Tells which characters make up words, and which scripts put spaces between words."""

import unicodedata

# Blocks of scripts that are written without spaces between words, with their punctuation, by first
# and last code point (Unicode 16): Thai, Lao; Tibetan; Myanmar; Khmer; CJK punctuation, kana,
# Bopomofo and ideographs; Yi; fullwidth forms; the supplementary ideographs.
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x0F00, 0x0FFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x312F),
    (0x3190, 0x9FFF),
    (0xA000, 0xA4CF),
    (0xF900, 0xFAFF),
    (0xFE30, 0xFE4F),
    (0xFF00, 0xFFEF),
    (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)


def is_spaced(character: str) -> bool:
    """Whether words of the character's script are parted by spaces."""
    code = ord(character)
    return not any(first <= code <= last for first, last in UNSPACED)


def is_word(character: str) -> bool:
    """Whether it is part of a word or a number: a letter, a digit, a mark on one, an underscore."""
    return character == "_" or unicodedata.category(character)[0] in "LNM"
