"""Text of others is shown as it is: it neither formats nor steers the terminal."""

import pytest

from service.commands.output import print_table, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 🙂\tand\nlines", "plain, ünïcode, 🙂\tand\nlines"),
        ("\x1b[31mred\r\x07\x9b", "\\x1b[31mred\\x0d\\x07\\x9b"),
    ],
)
def test_control_characters_are_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown


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
