"""`errata keys`: made, listed and revoked in the database, at work in the running server."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

from tests.commands.conftest import cells
from tests.processes import Child, errata

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
Keys = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """`errata keys` on an empty data directory."""

    def run(*arguments: str, **variables: str) -> Result:
        return errata("keys", *arguments, ERRATA_DATA_DIR=str(tmp_path), **variables)

    return run


def test_a_key_is_printed_once_and_stored_as_a_hash(keys: Keys, tmp_path: Path) -> None:
    result = keys("create", "--scope", "edit", "--name", "the [red]shop[/]")
    assert (result.exit_code, result.stderr) == (0, "")
    secret = result.stdout.strip()
    assert (secret.startswith("errata_"), len(secret)) == (True, 50)
    listed = json.loads(keys("list", "--json").stdout)["keys"]
    assert [(key["id"], key["name"], key["hint"]) for key in listed] == [
        (1, "the [red]shop[/]", secret[:11])
    ]
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_first_key_is_made_once(keys: Keys, tmp_path: Path) -> None:
    first = ("create", "--if-none", "--scope", "admin")
    configured = errata(
        "keys", *first, ERRATA_DATA_DIR=str(tmp_path), ERRATA_ADMIN_KEY="the-configured-one"
    )
    assert (configured.exit_code, configured.output) == (0, "")
    assert keys(*first).stdout.startswith("errata_")
    again = keys(*first)
    assert (again.exit_code, again.output) == (0, "")
    assert len(json.loads(keys("list", "--json").stdout)["keys"]) == 1


def test_keys_as_json(keys: Keys) -> None:
    made = json.loads(keys("create", "--scope=admin", "--name=me", "--json").stdout)
    secret = made.pop("key")
    assert (made["id"], made["name"], made["scope"]) == (1, "me", "admin")
    assert (made["hint"], made["revoked_at"]) == (secret[:11], None)
    assert json.loads(keys("list", "--json").stdout) == {"keys": [made]}
    revoked = json.loads(keys("revoke", "1", "--json").stdout)
    assert revoked.pop("revoked_at") >= made["created_at"]
    assert (made["state"], revoked.pop("state")) == ("active", "revoked")
    assert revoked == {name: made[name] for name in revoked}


def test_keys_as_a_table(keys: Keys) -> None:
    keys("create", "--scope=edit", "--name=shop", "--expires=90d")
    listed = json.loads(keys("list", "--json").stdout)["keys"][0]
    row = cells(keys("list", COLUMNS="100").stdout)[0]
    assert row[:4] == ["1", "key:1", "shop", "edit"]
    assert row[6:] == [listed["expires_at"][:19].replace("T", " "), ""]


def test_a_key_that_ends_and_the_one_in_its_place(keys: Keys) -> None:
    made = json.loads(keys("create", "--scope=edit", "--expires=90d", "--json").stdout)
    assert _lasts(made) == 90 * DAY_S
    rotated = json.loads(keys("rotate", "1", "--grace=2h", "--json").stdout)
    assert (rotated["id"], rotated["owner"], _lasts(rotated)) == (2, "key:1", 90 * DAY_S)
    assert rotated["key"] != made["key"]
    old = json.loads(keys("list", "--json").stdout)["keys"][0]
    assert _lasts(old) == pytest.approx(2 * HOUR_S, abs=60)
    again = keys("rotate", "1")
    assert (again.exit_code, again.stderr) == (
        1,
        "error: key 1 was rotated before; rotate key 2\n",
    )


def _lasts(key: dict[str, str]) -> float:
    made, ends = (datetime.fromisoformat(key[name]) for name in ("created_at", "expires_at"))
    return round((ends - made).total_seconds())


@pytest.mark.parametrize(
    "span", ["", "90", "d", "1.5d", "-1d", "0d", "0s", "9" * 10 + "s", "40000d", "²d"]
)
def test_what_is_no_span_of_time(span: str, keys: Keys) -> None:
    result = keys("create", "--scope=edit", f"--expires={span}")
    assert result.exit_code == 2
    assert "--expires: give" in " ".join(result.stderr.split())
    assert json.loads(keys("list", "--json").stdout) == {"keys": []}


def test_revoking_twice_keeps_the_first_time(keys: Keys) -> None:
    keys("create", "--scope=generate")
    assert keys("revoke", "1").stdout == "key 1 is revoked\n"
    first = keys("list", "--json").stdout
    assert keys("revoke", "1").exit_code == 0
    assert keys("list", "--json").stdout == first


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("generate", [200, 403, 403]), ("edit", [200, 200, 403]), ("admin", [200, 200, 404])],
)
def test_what_a_running_server_lets_a_key_do(scope: str, statuses: list[int], child: Child) -> None:
    """To ask, to read the log, to change history; and nothing more once it is revoked."""
    folder = str(child.folder)
    made = json.loads(
        errata("keys", "create", f"--scope={scope}", "--json", ERRATA_DATA_DIR=folder).stdout
    )
    headers = {"Authorization": f"Bearer {made['key']}"}

    def tried() -> list[int]:
        with httpx.Client(base_url=child.url, headers=headers, trust_env=False) as http:
            return [
                http.get("/generate", params={"prompt": "a", "max_new_tokens": 1}).status_code,
                http.get("/versions").status_code,
                http.post("/admin/batches/9999/rollback", json={"reason": "x"}).status_code,
            ]

    assert tried() == statuses
    errata("keys", "revoke", str(made["id"]), ERRATA_DATA_DIR=folder)
    assert tried() == [401, 401, 401]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[31m", "\udcff", "x" * 101])
def test_a_damaged_name(name: str, keys: Keys) -> None:
    result = keys("create", "--scope", "edit", "--name", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: a key's name has 1 to 100 printable characters\n"
    assert json.loads(keys("list", "--json").stdout) == {"keys": []}


@pytest.mark.parametrize("key_id", [1, 2**63 - 1])
def test_an_id_that_is_not_there(key_id: int, keys: Keys) -> None:
    result = keys("revoke", str(key_id))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: there is no key {key_id}\n"


@pytest.mark.parametrize(
    "arguments",
    [("create",), ("create", "--scope=root"), ("revoke",), ("revoke", "0"), ("revoke", str(2**63))],
)
def test_wrong_usage(arguments: tuple[str, ...], keys: Keys) -> None:
    assert keys(*arguments).exit_code == 2


def test_settings_and_databases_that_stop_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no database")
    for variables, reason in (
        ({"ERRATA_PROT": "1"}, "unknown setting ERRATA_PROT; see `errata serve --help`"),
        (
            {"ERRATA_DATA_DIR": str(file)},
            f"the database can't be opened: [Errno 17] File exists: '{file}'",
        ),
        (
            {"ERRATA_DATABASE_URL": f"sqlite:///{file}"},
            "the database can't be opened: (sqlite3.DatabaseError) file is not a database",
        ),
    ):
        result = errata("keys", "list", **variables)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"error: {reason}\n"
