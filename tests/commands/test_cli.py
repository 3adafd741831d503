"""The command line as a whole: what each command says of itself."""

import pytest

from service import __version__
from service.settings import Settings
from tests.processes import errata

COMMANDS = [
    "serve",
    "edit",
    "generate",
    "compare",
    "log",
    "export-model",
    "import-gguf",
    "log verify",
    "log export",
    "log import",
    "show",
    "rollback",
    "restore",
    "keys create",
    "keys list",
    "keys revoke",
    "db upgrade",
]


def test_version() -> None:
    assert errata("--version").stdout == f"errata {__version__}\n"


def test_the_root_help_names_every_command_and_the_exit_codes() -> None:
    printed = errata("--help").stdout
    listed = printed.partition("Commands:\n")[2].split()
    assert {command.split()[0] for command in COMMANDS} <= set(listed)
    assert "Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 no server answers." in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_within_80_columns(command: str) -> None:
    result = errata(*command.split(), "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    options = result.stdout.partition("Options:\n")[2].partition("\n\n")[0].splitlines()
    assert all(len(line.split("  ")) > 2 for line in options)


def test_the_help_of_serve_lists_every_setting() -> None:
    """Each in a row of its own, with its default."""
    lines = errata("serve", "--help").stdout.splitlines()
    rows = {words[0]: words[1] for words in map(str.split, lines) if len(words) > 2}
    for name, field in Settings.model_fields.items():
        default = "-" if field.default is None else str(field.default)
        assert rows[f"ERRATA_{name.upper()}"] == default


@pytest.mark.parametrize("command", ["", "keys", "db"])
def test_a_group_alone_shows_its_help(command: str) -> None:
    result = errata(*command.split())
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize("command", ["stats", "calibrate preset.json", "evaluate"])
def test_an_unknown_editor_is_wrong_usage(command: str) -> None:
    result = errata(*command.split(), "--editor", "graze")
    assert result.exit_code == 2
    assert "'graze' is not one of 'entity', 'grace', 'coachhook', 'memit'" in result.stderr


def test_an_unknown_command_is_wrong_usage() -> None:
    result = errata("edti")
    assert result.exit_code == 2
    assert "No such command 'edti'" in result.stderr
