"""What commands print: tables for people, JSON for programs, and one line for what went wrong."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# Prompts, targets and reasons are other people's text: no part of them is an instruction to Rich.
out = Console(markup=False, emoji=False, highlight=False)
err = Console(markup=False, emoji=False, highlight=False, stderr=True)


class Exit(IntEnum):
    """Exit codes. 2 is Typer's own, for wrong usage."""

    REFUSED = 1  # the server said no, an edit failed, or the server can't start
    UNREACHABLE = 3  # no server, or one that is broken


# Control characters, marks that turn text around or can't be seen, halves of characters, and what
# some take for the end of a line.
STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # of Persian words and of emoji: they steer nothing


def fail(message: str, code: Exit) -> NoReturn:
    line = visible(f"error: {message}").replace("\n", r"\n")
    err.print(line, soft_wrap=True)
    raise typer.Exit(code)


def visible(text: str) -> str:
    """`text` with what steers a terminal spelt out: it shall show that, not obey it."""
    return "".join(ascii(c)[1:-1] if _steers(c) and c not in "\n\t" else c for c in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in STEERING and character not in JOINERS


def json_text(answer: Any, indent: int | None = None) -> str:
    """JSON that shows all the characters a terminal may, and escapes the others."""
    text = json.dumps(answer, ensure_ascii=False, indent=indent)
    # Line breaks are JSON's own: a string's are escaped already.
    return "".join(json.dumps(c)[1:-1] if _steers(c) and c != "\n" else c for c in text)


def moment(at: str) -> str:
    """An ISO 8601 time in UTC as tables show it, to the second."""
    return at[:19].replace("T", " ")


def print_json(answer: Any) -> None:
    print(json_text(answer, indent=2))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table that folds what is too wide; nothing is cut off. None is an empty cell. Without
    headers it is a list of names and values.
    """
    table = Table(*headers, show_header=bool(headers))
    for row in rows:
        table.add_row(*("" if cell is None else visible(str(cell)) for cell in row))
    for column in table.columns:
        column.overflow = "fold"
    out.print(table)
