"""Whether a database has the schema that the tables describe."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, make_url, select

from service.storage.database import Database, newest_revision
from service.storage.tables import Table


def shown(url: str) -> str:
    """A database's URL as it may be read over someone's shoulder."""
    return make_url(url).render_as_string(hide_password=True)


def counts(database: Database) -> dict[str, int]:
    """The rows of each table."""
    with database.read() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Table.metadata.sorted_tables
        }


def faults(database: Database) -> list[str]:
    """What is wrong with it, a line each."""
    found, newest = database.revision(), newest_revision()
    if found != newest:
        return [f"the schema is {found or 'none'}, the newest is {newest}: run `errata db upgrade`"]
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [_line(difference) for difference in compare_metadata(context, Table.metadata)]


def _line(difference: Any) -> str:
    """Alembic tells of a column's changes in a list of their own."""
    first = difference[0] if isinstance(difference, list) else difference
    return " ".join(str(part) for part in first if part is not None)
