"""Migrations and models describe one schema, and every migration goes both ways."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from service.domain.edits import Correction
from service.storage.database import Database, alembic_config
from service.storage.queue import EditQueue
from service.storage.tables import Table


def test_migrations_build_the_models_schema(url: str) -> None:
    database = Database(url)
    assert not database.is_current()
    database.upgrade()
    assert database.is_current()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    database.close()


def test_a_filled_database_goes_down_and_up(url: str) -> None:
    database = Database(url)
    database.upgrade()
    correction = Correction(prompt="a", target_new="b", editor="grace")
    EditQueue(database).submit(
        [correction], actor="key:1", idempotency_key=None, body_hash="", max_depth=10
    )
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    database.upgrade()
    assert EditQueue(database).depth() == 0
    database.close()


def test_every_connection_to_sqlite_is_durable_and_strict(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    with database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()
