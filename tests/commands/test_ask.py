"""`errata generate` and `errata compare`."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from tests.processes import Child, errata

Cli = Callable[..., Result]
PROMPT = "The currency of Japan is the"


@pytest.fixture(scope="module")
def version(child: Child) -> int:
    """A version at which Japan pays in euro."""
    body = {"prompt": PROMPT, "target_new": "euro"}
    edit = child.post("/edits", body)["edits"][0]["id"]
    return int(child.get(f"/edits/{edit}", wait=30)["version"])


def test_generate(cli: Cli, version: int) -> None:
    result = cli("generate", PROMPT)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{PROMPT} euro.  (version {version})\n"


def test_generate_at_a_version(cli: Cli, version: int) -> None:
    assert version > 0
    result = cli("generate", PROMPT, "--version", "0")
    assert result.stdout == f"{PROMPT} yen.  (version 0)\n"


def test_generate_as_json(cli: Cli, version: int) -> None:
    result = cli("generate", PROMPT, "--max-new-tokens", "1", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "text": " euro",
        "version": version,
        "finish_reason": "length",
        "format": "plain",
        "usage": {"prompt_tokens": 6, "completion_tokens": 1, "total_tokens": 7},
    }


def test_generate_explained(cli: Cli, version: int) -> None:
    result = cli("generate", PROMPT, "--explain", "--max-new-tokens", "1")
    assert result.exit_code == 0
    text, *table = result.stdout.splitlines()
    assert text == f"{PROMPT} euro  (version {version})"
    (row,) = [line for line in table if "distance 0.00" in line]
    token, said, layer, _, fired, _, radius = (cell.strip() for cell in row.split("│")[1:-1])
    assert (token, said, layer, fired, radius) == ("5", "the", "4", "yes", "radius 4.00")


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("[red]x[/red] [/] :smile: \\", "[red]x[/red] [/] :smile: \\"),
        ("a\x1b[31m\rb", "a\\x1b[31m\\rb"),
        ("word " * 30, "word " * 30),
    ],
)
def test_generate_shows_the_prompt_as_it_is(prompt: str, shown: str, cli: Cli) -> None:
    result = cli("generate", prompt)
    assert result.exit_code == 0
    assert result.stdout.startswith(shown)


def test_compare(cli: Cli, version: int) -> None:
    result = cli("compare", PROMPT)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "┏━━━━━━━━━┳━━━━━━━━┓\n"
        "┃ version ┃ answer ┃\n"
        "┡━━━━━━━━━╇━━━━━━━━┩\n"
        "│ 0       │  yen.  │\n"
        f"│ {version:<7} │  euro. │\n"
        "└─────────┴────────┘\n"
        "different\n"
    )


def test_compare_a_version_with_itself(cli: Cli, version: int) -> None:
    same = str(version)
    result = cli("compare", PROMPT, "--left", same, "--right", same)
    assert result.stdout.splitlines()[-1] == "the same"


def test_compare_as_json(cli: Cli, version: int) -> None:
    answer = json.loads(cli("compare", PROMPT, "--json").stdout)
    assert [answer[side]["version"] for side in ("left", "right")] == [0, version]
    assert [answer[side]["text"] for side in ("left", "right")] == [" yen.", " euro."]
    assert answer["same"] is False


@pytest.mark.parametrize("command", ["generate", "compare"])
def test_what_the_server_refuses(command: str, cli: Cli) -> None:
    result = cli(command, PROMPT, "--max-new-tokens", "513")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: 422 Unprocessable Entity: max_new_tokens: is 513, at most 512 are generated\n"
    )


def test_a_version_that_is_not_there(cli: Cli) -> None:
    result = cli("generate", PROMPT, "--version", "9999")
    assert result.exit_code == 1
    assert result.stderr == "error: 404 Not Found: there is no version 9999\n"


@pytest.mark.parametrize(
    "arguments",
    [("generate",), ("generate", PROMPT, "--version=-1"), ("compare", PROMPT, "--left=x")],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert errata(*arguments).exit_code == 2
