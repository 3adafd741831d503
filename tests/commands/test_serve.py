"""`errata serve`, up to where it listens: tests/test_process.py goes on from there."""

import errno
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from tests.processes import errata


@pytest.fixture(autouse=True)
def listened() -> Iterator[Mock]:
    """Stands in for the web server: the command ends where it would begin to listen."""
    with patch("uvicorn.Server.run", autospec=True) as run:
        yield run


def keys(folder: Path) -> list[tuple[str, str]]:
    listed = json.loads(errata("keys", "list", "--json", ERRATA_DATA_DIR=str(folder)).stdout)
    return [(key["name"], key["scope"]) for key in listed["keys"]]


@pytest.mark.parametrize("given_by", ["variable", "file", "both"])
def test_a_given_admin_key_is_not_printed(given_by: str, tmp_path: Path, listened: Mock) -> None:
    file = tmp_path / "key"
    file.write_text("the-given-key\n")
    variables = {}
    if given_by != "file":
        variables["ERRATA_ADMIN_KEY"] = "the-given-key"
    if given_by != "variable":
        variables["ERRATA_ADMIN_KEY_FILE"] = str(file)
    data = tmp_path / "data"
    for _ in range(2):
        result = errata("serve", ERRATA_DATA_DIR=str(data), ERRATA_PORT="0", **variables)
        assert (result.exit_code, result.stdout) == (0, "")
    assert listened.call_count == 2
    assert keys(data) == [("admin", "admin")]
    stored = [path for path in data.rglob("*") if path.is_file()]
    assert all(b"the-given-key" not in path.read_bytes() for path in stored)


def test_a_bad_file_of_probes_ends_the_start(tmp_path: Path, listened: Mock) -> None:
    file = tmp_path / "probes.jsonl"
    settings = {"ERRATA_DATA_DIR": str(tmp_path / "data"), "ERRATA_PORT": "0"}
    good = '{"prompt": "The capital of Italy is", "expect": "Rome"}'
    for line, reason in (
        ('{"promt": "a"}', "prompt: Field required; promt: Extra inputs are not permitted"),
        ('{"prompt": "a", "format": "chat"}', "format: the model has no chat template"),
    ):
        file.write_text(f"{good}\n{line}\n")
        result = errata("serve", ERRATA_PROBES=str(file), ERRATA_ADMIN_KEY="key", **settings)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"error: ERRATA_PROBES {file}, line 2: {reason}\n"
    assert not listened.called


def test_a_data_directory_that_is_made_is_its_users_alone(tmp_path: Path, listened: Mock) -> None:
    for command in (("serve",), ("db", "upgrade")):
        data = tmp_path / command[0]
        errata(*command, ERRATA_DATA_DIR=str(data), ERRATA_PORT="0")
        assert data.stat().st_mode & 0o777 == 0o700
    assert listened.called


def test_a_data_directory_that_cannot_be_made(tmp_path: Path, listened: Mock) -> None:
    file = tmp_path / "file"
    file.touch()
    result = errata("serve", ERRATA_DATA_DIR=str(file), ERRATA_PORT="0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: ERRATA_DATA_DIR {file} can't be made: File exists\n"
    assert not listened.called


def test_a_key_is_printed_even_if_the_model_then_fails(tmp_path: Path, listened: Mock) -> None:
    """It is in the database from then on, so this is the only chance to show it."""
    nowhere = str(tmp_path / "none")
    settings = {"ERRATA_DATA_DIR": str(tmp_path / "data"), "ERRATA_PORT": "0"}
    first = errata("serve", ERRATA_MODEL=nowhere, **settings)
    assert first.exit_code == 1
    assert first.stdout.startswith(
        "An admin key was made. It is shown only now:\n  export ERRATA_API_KEY=errata_"
    )
    second = errata("serve", **settings)
    assert (second.exit_code, second.stdout) == (0, "")
    assert listened.call_count == 1


def test_others_reach_it_only_with_a_key(tmp_path: Path, listened: Mock) -> None:
    settings = {"ERRATA_HOST": "0.0.0.0", "ERRATA_PORT": "0", "ERRATA_DATA_DIR": str(tmp_path)}
    result = errata("serve", **settings)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: ERRATA_HOST is 0.0.0.0, which others can reach, and no key is configured: "
        "set ERRATA_ADMIN_KEY_FILE, or run `errata keys create --scope admin` first\n"
    )
    assert not listened.called
    errata("keys", "create", "--scope", "admin", ERRATA_DATA_DIR=str(tmp_path))
    assert errata("serve", **settings).exit_code == 0
    assert listened.call_args.args[0].config.host == "0.0.0.0"


def test_an_address_in_use_stops_it_before_anything_is_done(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = errata("serve", ERRATA_PORT=str(port), ERRATA_DATA_DIR=str(data))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: ERRATA_HOST '127.0.0.1' and ERRATA_PORT {port} can't be listened on: "
        f"{os.strerror(errno.EADDRINUSE)}\n"
    )
    assert not data.exists()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"ERRATA_PROT": "1"}, "unknown setting ERRATA_PROT; see `errata serve --help`"),
        ({"ERRATA_MAX_BATCH": "0"}, "ERRATA_MAX_BATCH: Input should be greater than or equal to 1"),
        (
            {"ERRATA_ADMIN_KEY_FILE": "/nowhere/key"},
            "ERRATA_ADMIN_KEY_FILE: /nowhere/key can't be read: No such file or directory",
        ),
        (
            {"ERRATA_HOST": "192.0.2.1"},  # kept for documentation: nobody has it
            "ERRATA_HOST '192.0.2.1' and ERRATA_PORT 0 can't be listened on: "
            + os.strerror(errno.EADDRNOTAVAIL),
        ),
    ],
)
def test_settings_that_stop_it(variables: dict[str, str], reason: str, tmp_path: Path) -> None:
    settings = {"ERRATA_PORT": "0", "ERRATA_DATA_DIR": str(tmp_path / "data"), **variables}
    result = errata("serve", **settings)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {reason}\n"


def test_sigterm_while_it_starts_is_an_ordinary_end(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with patch("service.app.build", side_effect=lambda *_: signal.raise_signal(signal.SIGTERM)):
        result = errata(
            "serve", ERRATA_ADMIN_KEY="key", ERRATA_PORT="0", ERRATA_DATA_DIR=str(tmp_path)
        )
    assert (result.exit_code, result.output) == (0, "")
    assert signal.getsignal(signal.SIGTERM) is before
