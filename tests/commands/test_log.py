"""`errata log`, `show`, `rollback` and `restore`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.commands.conftest import cells, stand_in
from tests.processes import Child, errata

Cli = Callable[..., Result]
PROMPT = "The currency of Mexico is the"
EITHER = "give a batch, --edit or --to-version"


@pytest.fixture
def edit(child: Child) -> dict[str, Any]:
    """The only edit at work, applied at the log's last version."""
    child.post("/admin/rollback", {"version": 0, "reason": "a test begins"})
    number = child.post("/edits", {"prompt": PROMPT, "target_new": "euro"})["edits"][0]["id"]
    found: dict[str, Any] = child.get(f"/edits/{number}", wait=30)
    assert found["status"] == "applied"
    return found


def checksum(child: Child, version: int) -> str:
    return str(child.get(f"/versions/{version}")["checksum"])


def test_the_log_is_a_table(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    result = cli("log", COLUMNS="200")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = cells(result.stdout)
    assert [int(row[0]) for row in rows] == list(range(edit["version"] + 1))
    assert rows[0][:6] == ["0", "base", "", "system", "", checksum(child, 0)[:12]]
    number, batch = str(edit["version"]), str(edit["batch_id"])
    assert rows[-1][:4] == [number, "apply", batch, "worker"]


def test_the_log_as_json(cli: Cli, child: Child) -> None:
    listed = json.loads(cli("log", "--json").stdout)
    assert listed == {"versions": child.get("/versions", limit=1_000)["versions"]}


def test_the_log_is_read_page_by_page() -> None:
    pages = [({"versions": [1, 2], "next": 2}), ({"versions": [3], "next": None})]
    with stand_in(*((200, json.dumps(page)) for page in pages)) as url:
        result = errata("log", "--json", ERRATA_URL=url)
    assert json.loads(result.stdout) == {"versions": [1, 2, 3]}


def test_show_everything_there_is(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    for kind, number, path in (
        ("edit", edit["id"], "/edits"),
        ("batch", edit["batch_id"], "/batches"),
        ("version", edit["version"], "/versions"),
    ):
        found = child.get(f"{path}/{number}")
        assert json.loads(cli("show", kind, str(number), "--json").stdout) == found
        shown = cli("show", kind, str(number)).stdout
        rows = [row[0] for row in cells(shown) if len(row) == 2]
        assert [name for name in rows if name] == [name for name in found if name != "report"]


def test_an_edits_report_is_tables_of_its_own(cli: Cli, edit: dict[str, Any]) -> None:
    shown = cells(cli("show", "edit", str(edit["id"])).stdout)
    assert [row for row in shown if len(row) == 6] == [
        [
            str(edit["id"]),
            "prompt",
            "plain",
            "yes",
            f"{edit['probability_before']:.2%}",
            f"{edit['probability_after']:.2%}",
        ]
    ]


def test_changed_probes_are_a_table_of_their_own() -> None:
    probe = {"prompt": "[b]a\x1b", "format": "chat", "expect": "Rome", "before": "Rome"}
    changed = [
        {**probe, "after": "Ro", "broken": True},
        {**probe, "expect": None, "after": "Roma", "broken": False},
    ]
    for kind in ("batch", "version"):
        with stand_in((200, json.dumps({"id": 1, "changed_probes": changed}))) as url:
            shown = errata("show", kind, "1", ERRATA_URL=url).stdout
            as_json = json.loads(errata("show", kind, "1", "--json", ERRATA_URL=url).stdout)
        assert cells(shown) == [
            ["id", "1"],
            ["changed_probes", "2"],
            ["[b]a\\x1b", "chat", "Rome", "Rome", "Ro", "yes"],
            ["[b]a\\x1b", "chat", "", "Rome", "Roma", "no"],
        ]
        assert as_json["changed_probes"] == changed


def test_show_folds_what_is_too_wide(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    shown = cells(cli("show", "version", str(edit["version"])).stdout)
    at = next(i for i, (name, _) in enumerate(shown) if name == "checksum")
    assert shown[at][1] + shown[at + 1][1] == checksum(child, edit["version"])


def test_show_what_is_not_there(cli: Cli) -> None:
    for kind in ("edit", "batch", "version"):
        result = cli("show", kind, "9999")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"error: 404 Not Found: there is no {kind} 9999\n"


def test_rollback_and_restore_of_a_batch(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    batch, version = str(edit["batch_id"]), edit["version"]
    before, after = checksum(child, version - 1), checksum(child, version)
    result = cli("rollback", batch, "--reason", "[/] [red]why[/red] :smile:")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"version {version + 1} serves, checksum {before[:12]}\n"
    assert child.answer(PROMPT) == " peso."
    assert cells(cli("show", "version", str(version + 1)).stdout)[6] == [
        "reason",
        "[/] [red]why[/red] :smile:",
    ]
    result = cli("restore", batch, "--reason", "it was right", "--json")
    assert result.exit_code == 0
    restored = json.loads(result.stdout)
    assert (restored["version"], restored["checksum"]) == (version + 2, after)
    assert child.answer(PROMPT) == " euro."


def test_a_change_that_was_made_before(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    version = edit["version"]
    cli("rollback", str(edit["batch_id"]), "--reason", "a wrong source")
    number = child.post("/edits", {"prompt": PROMPT, "target_new": "franc"})["edits"][0]["id"]
    child.get(f"/edits/{number}", wait=30)
    again = cli("rollback", str(edit["batch_id"]), "--reason", "a wrong source")
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout == f"version {version + 1} did it, and version {version + 2} serves\n"


def test_rollback_of_one_edit(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    number, version = str(edit["id"]), edit["version"] + 1
    before = checksum(child, edit["version"] - 1)
    result = cli("rollback", "--edit", number, "--reason", "a wrong source")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"version {version} serves, checksum {before[:12]}\n"
    assert child.answer(PROMPT) == " peso."
    listed = cells(cli("log", COLUMNS="200").stdout)[-1]
    assert listed[:3] == [str(version), "rollback", f"{edit['batch_id']}, edit {number}"]


def test_a_dry_run_is_a_table(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    number, batch = str(edit["id"]), str(edit["batch_id"])
    before = child.get("/versions", limit=1_000)
    what = f"version {edit['version'] + 1} would serve, checksum "
    for arguments in ((batch,), ("--edit", number), ("--to-version", str(edit["version"] - 1))):
        result = cli("rollback", *arguments, "--reason", "x", "--dry-run")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(what + checksum(child, edit["version"] - 1)[:12])
        assert cells(result.stdout) == [
            ["rolled back", batch, number],
            ["restored", "", ""],
            [number, PROMPT, "euro.", "peso.", "yes"],
        ]
    result = cli("restore", batch, "--reason", "x", "--dry-run")
    assert result.stdout == f"nothing would change: version {edit['version']} did it\n"
    told = json.loads(cli("rollback", batch, "--reason", "x", "--dry-run", "--json").stdout)
    assert (told["dry_run"], told["version"]) == (True, edit["version"] + 1)
    assert child.get("/versions", limit=1_000) == before


def test_rollback_to_a_version(cli: Cli, child: Child, edit: dict[str, Any]) -> None:
    result = cli("rollback", "--to-version", "0", "--reason", "start afresh", "--json")
    assert result.exit_code == 0
    version = json.loads(result.stdout)
    assert version["version"] == edit["version"] + 1
    assert version["checksum"] == checksum(child, 0)
    assert child.answer(PROMPT) == " peso."


@pytest.mark.parametrize("command", ["rollback", "restore"])
def test_an_expected_version_that_is_past(command: str, cli: Cli, edit: dict[str, Any]) -> None:
    if command == "restore":
        cli("rollback", str(edit["batch_id"]), "--reason", "to be restored")
    current = edit["version"] + (command == "restore")
    arguments = (command, str(edit["batch_id"]), "--reason", "late", "--expected-version", "0")
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"error: 409 Conflict: expected version 0, but the log is at version {current}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("rollback", "9999"), "there is no batch 9999"),
        (("rollback", "--edit", "9999"), "there is no edit 9999"),
        (("rollback", "--to-version", "9999"), "there is no version 9999"),
        (("restore", "9999"), "there is no batch 9999"),
    ],
)
def test_history_that_is_not_there(arguments: tuple[str, ...], reason: str, cli: Cli) -> None:
    result = cli(*arguments, "--reason", "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: 404 Not Found: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("rollback", "1"), "Missing option '--reason'."),
        (("rollback", "--reason=x"), EITHER),
        (("rollback", "1", "--to-version=0", "--reason=x"), EITHER),
        (("rollback", "1", "--edit=1", "--reason=x"), EITHER),
        (("rollback", "--edit=1", "--to-version=0", "--reason=x"), EITHER),
        (("rollback", "--edit=0", "--reason=x"), "Input should be greater than or equal to 1"),
        (("rollback", "0", "--reason=x"), "Input should be greater than or equal to 1"),
        (("restore", "--reason=x"), "Missing argument 'BATCH'."),
        (("show", "key", "1"), "'key' is not one of 'edit', 'batch', 'version'"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], reason: str) -> None:
    result = errata(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
