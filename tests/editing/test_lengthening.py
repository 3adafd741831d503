"""Where words and numbers end."""

import pytest

from service.editing.lengthening import can_be_lengthened, lengthens


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("Tromso", "y"),
        ("Tromso", "\u0301"),
        ("Tromso", "2"),
        ("Guinea", "-Bissau is"),
        ("Guinea", "\u2011Bissau"),
        ("1210", "5"),
        ("1210", ".5 million"),
        ("1", ",210"),
        ("10", ":30"),
        ("1882", "-83"),
        ("1882", "\u201383"),
        ("1882", "/83"),
        ("snake", "_case"),
        ("부산", "에"),
        ("Πάτρα", "ς"),
    ],
)
def test_what_lengthens_a_targets_last_word(target: str, rest: str) -> None:
    assert lengthens(target, rest)


@pytest.mark.parametrize(
    ("target", "rest"),
    [
        ("Tromso", ""),
        ("Tromso", " y"),
        ("Tromso", "."),
        ("Tromso", ".5"),
        ("Tromso", ", a town"),
        ("Tromso", "'s"),
        ("Tromso", "-"),
        ("Tromso", " - a town"),
        ("Tromso", "\n"),
        ("Tromso", "市"),
        ("1210", "."),
        ("1210", ". In 5"),
        ("1210", ", 5"),
        ("1210", " 5"),
        ("1210", "%"),
        ("上海", "市"),
        ("เชียงใหม่", "อยู่"),
        ("Onward!", "y"),
        ("C++", "y"),
        ("Onward\u201d", "s"),
    ],
)
def test_what_leaves_it_as_it_is(target: str, rest: str) -> None:
    assert not lengthens(target, rest)


@pytest.mark.parametrize(
    ("target", "can"),
    [
        ("euro", True),
        ("1210", True),
        ("cafe\u0301", True),
        ("a_", True),
        ("上海", False),
        ("C++", False),
        ("$5.", False),
        ("(x)", False),
    ],
)
def test_only_a_spaced_scripts_word_can_be_lengthened(target: str, can: bool) -> None:
    assert can_be_lengthened(target) is can
