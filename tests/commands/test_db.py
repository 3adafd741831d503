"""`errata db`."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from service.storage.database import MIGRATIONS
from tests.postgresql import Cluster
from tests.processes import errata

HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()


def test_upgrade_says_what_it_did_and_does_it_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "new")
    results = [errata("db", "upgrade", ERRATA_DATA_DIR=folder) for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    assert [result.stdout for result in results] == [f"schema none -> {HEAD}\n", f"schema {HEAD}\n"]


def test_a_schema_of_a_newer_errata(tmp_path: Path) -> None:
    errata("db", "upgrade", ERRATA_DATA_DIR=str(tmp_path))
    engine = create_engine(f"sqlite:///{tmp_path}/errata.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'tomorrow'"))
    engine.dispose()
    result = errata("db", "upgrade", ERRATA_DATA_DIR=str(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: Can't locate revision identified by 'tomorrow'\n"


def test_show_and_check(tmp_path: Path, postgresql: Cluster) -> None:
    for url in (f"sqlite:///{tmp_path / 'errata.db'}", postgresql.new_database()):
        run = partial(errata, ERRATA_DATABASE_URL=url, COLUMNS="200")
        assert run("db", "check").stderr == (
            f"error: the schema is none, the newest is {HEAD}: run `errata db upgrade`\n"
        )
        run("db", "upgrade")
        assert run("db", "check").stdout == "the schema is right\n"
        shown = run("db", "show").stdout
        assert all(word in shown for word in (str(HEAD), "versions", "edits", "lease"))
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE edits ADD COLUMN more INTEGER"))
            connection.execute(text("DROP TABLE lease"))
        engine.dispose()
        result = run("db", "check")
        assert result.exit_code == 1
        assert "add_table lease" in result.stderr
        assert "remove_column edits" in result.stderr


def test_no_password_is_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://errata:secret@127.0.0.1:1/errata"
    for command in ("show", "check", "upgrade"):
        result = errata("db", command, ERRATA_DATABASE_URL=url, ERRATA_DATA_DIR=str(tmp_path))
        assert result.exit_code == 1
        assert "secret" not in result.output


def test_what_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no database")
    for variables, reason in (
        (
            {"ERRATA_DATABASE_URL": f"sqlite:///{file}"},
            "(sqlite3.DatabaseError) file is not a database",
        ),
        ({"ERRATA_DATA_DIR": str(file)}, f"[Errno 17] File exists: '{file}'"),
        (
            {"ERRATA_PORT": "x"},
            "ERRATA_PORT: Input should be a valid integer, unable to parse string as an integer",
        ),
    ):
        result = errata("db", "upgrade", **variables)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"error: {reason}\n"


def test_another_programs_file_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "errata.db"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE cookies (id INTEGER)")
    for command in (("db", "upgrade"), ("serve",), ("keys", "list")):
        result = errata(*command, ERRATA_DATA_DIR=str(tmp_path), ERRATA_PORT="0")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            f"error: {file} is no database of Errata's: it has a table 'cookies', and no revision\n"
        )
    with contextlib.closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("cookies",)]
