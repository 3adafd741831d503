"""All rows of a log as one moment has them, table by table."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from pydantic import ValidationError
from sqlalchemy import func, inspect, select, union
from sqlalchemy.orm import Session

from service.storage.database import Database
from service.storage.records import TABLES, Record, fault_of, table_name
from service.storage.tables import BatchRow, SnapshotRow, VersionRow

R = TypeVar("R", bound=Record)

AT_ONCE = 500  # rows that are held while all are read

# Told of a row that is not what it should be, which is then left out.
OnFault = Callable[[str], None]


class Rows(Protocol):
    """Whatever holds the rows of a log."""

    def count(self, kind: type[Record]) -> int: ...

    def of(self, kind: type[R], on_fault: OnFault) -> Iterator[R]:
        """By primary key."""
        ...


class Contents:
    """Those of a database, inside one of its snapshots. Its server may end a snapshot that rests
    for some seconds: nothing slow is done between rows.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def count(self, kind: type[Record]) -> int:
        return self._session.scalar(select(func.count()).select_from(TABLES[kind])) or 0

    def of(self, kind: type[R], on_fault: OnFault) -> Iterator[R]:
        table = TABLES[kind].__table__
        (key,) = inspect(TABLES[kind]).primary_key
        query = select(*table.c).order_by(key).execution_options(yield_per=AT_ONCE)
        try:
            for row in self._session.execute(query).mappings():
                try:
                    yield kind.model_validate(dict(row))
                except ValidationError as error:
                    on_fault(f"{table_name(kind)}: {key.name} {row[key.name]}: {fault_of(error)}")
        except ValueError as error:  # JSON that is none
            on_fault(f"{table_name(kind)}: can't be read on: {fault_of(error)}")


@contextlib.contextmanager
def contents(database: Database) -> Iterator[Contents]:
    with database.read() as session:
        yield Contents(session)


def named_artifacts(database: Database) -> set[str]:
    """Every artifact that a version, a batch or a snapshot names."""
    columns = (VersionRow.artifact, BatchRow.artifact, SnapshotRow.artifact)
    names = union(*(select(column) for column in columns))
    with database.read() as session:
        return {name for name in session.scalars(names) if name is not None}
