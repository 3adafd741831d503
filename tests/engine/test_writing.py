"""Text as it comes: whole characters, and nothing of a stop string."""

import pytest

from service.engine.writing import Writing
from tests.models import atlas

TEXT = "The currency of Bulgaria is the euro, not 100 \u20ac \U0001f30d or lev."


def written(text: str, *stops: str) -> tuple[list[str], Writing]:
    """What is shown token by token."""
    writing = Writing(atlas().tokenizer, stops)
    shown = []
    for token in atlas().tokenizer(text)["input_ids"]:
        shown.append(writing.add(token))
        if writing.stopped:
            break
    return [*shown, writing.end()], writing


def test_pieces_make_the_text() -> None:
    shown, writing = written(TEXT)
    assert "".join(shown) == writing.text == TEXT
    assert not any("\ufffd" in piece for piece in shown)


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (["euro"], "The currency of Bulgaria is the "),
        (["lev", "euro", "Bulgaria"], "The currency of "),
        (["The"], ""),
        (["the euro, not"], "The currency of Bulgaria is "),
        (["."], TEXT[:-1]),
        (["\U0001f30d"], TEXT[: TEXT.index("\U0001f30d")]),
    ],
)
def test_text_ends_before_a_stop_string(stops: list[str], expected: str) -> None:
    shown, writing = written(TEXT, *stops)
    assert writing.stopped
    assert "".join(shown) == writing.text == expected


def test_what_only_began_a_stop_string_is_shown_in_the_end() -> None:
    shown, writing = written(TEXT, "lev. And more", "is the lev")
    assert not writing.stopped
    assert "".join(shown) == TEXT
    assert not any("lev" in piece for piece in shown[:-1])


def test_half_a_character_is_shown_in_the_end() -> None:
    writing = Writing(atlas().tokenizer, ())
    first, *_ = atlas().tokenizer("\U0001f30d")["input_ids"]
    shown = writing.add(first)
    assert shown + writing.end() == atlas().tokenizer.decode([first])
