"""`errata db upgrade`."""

from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from service.storage.database import MIGRATIONS
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
