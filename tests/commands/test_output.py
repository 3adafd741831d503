"""Text of others is shown as it is: it neither formats nor steers the terminal."""

import json

import pytest
import typer

from service.commands.output import Exit, fail, print_json, print_table, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 🙂\tand\nlines", "plain, ünïcode, 🙂\tand\nlines"),
        ("\x1b[31mred\r\x07\x9b", "\\x1b[31mred\\r\\x07\\x9b"),
        ("\u202eabc\u2066\u200f\u061c", "\\u202eabc\\u2066\\u200f\\u061c"),  # turn text around
        ("a\u2028b\u2029c\ud800", "a\\u2028b\\u2029c\\ud800"),
        ("\u3000می\u200cخواهم 👩\u200d🚀\u00a0", "\u3000می\u200cخواهم 👩\u200d🚀\u00a0"),
    ],
)
def test_control_characters_are_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_json_is_the_same_without_what_steers(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"a\x9b\x7f\u202e": ["\ud800", "\u2028\n\x1b", "é 👩\u200d🚀 \U000e0041"]}
    print_json(answer)
    said = capsys.readouterr().out
    assert json.loads(said) == answer
    assert said.count("\n") == len(said.splitlines()) == 7
    assert "é 👩\u200d🚀" in said
    assert not [c for c in said if visible(c) != c]


def test_what_went_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        fail("no\nsuch\u2028field\x1b[2J", Exit.REFUSED)
    assert capsys.readouterr().err == "error: no\\nsuch\\u2028field\\x1b[2J\n"


def test_a_table_shows_all_of_a_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_table(["[/]", "b"], [("[red]x[/red]", None), (":smile:", "a" * 20)])
    assert capsys.readouterr().out == (
        "┏━━━━━━━━┳━━━━━━━━━┓\n"
        "┃ [/]    ┃ b       ┃\n"
        "┡━━━━━━━━╇━━━━━━━━━┩\n"
        "│ [red]x │         │\n"
        "│ [/red] │         │\n"
        "│ :smile │ aaaaaaa │\n"
        "│ :      │ aaaaaaa │\n"
        "│        │ aaaaaa  │\n"
        "└────────┴─────────┘\n"
    )
