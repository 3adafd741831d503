"""Ids that a database gives out, where rows came with ids of their own."""

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service.storage.tables import Table


def go_on_after(session: Session, table: type[Table], last: int) -> None:
    """The next id that the database gives in `table` comes after `last`."""
    name = table.__tablename__
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
        values = {"name": name, "seq": last}
        session.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :seq)"), values)
    else:
        session.execute(select(func.setval(func.pg_get_serial_sequence(name, "id"), last)))
