"""Connections and transactions."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, func, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as QueueTimeoutError
from sqlalchemy.orm import Session

from service.errors import StartupError

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# What a full disk, a lost connection or a locked file raise.
UNAVAILABLE = (OSError, InterfaceError, OperationalError, QueueTimeoutError)
STORAGE_TROUBLE = (OSError, SQLAlchemyError)
BUSY_TIMEOUT_MS = 10_000  # how long a writer waits for the one before it
PRIVATE = 0o700  # the mode of folders that are made here
UPGRADING = 0x657272617461  # a lock's number in PostgreSQL
NAMED = 1_000  # ids in one query; databases bound how many parameters it has
CHANNEL = "errata"  # on which PostgreSQL tells servers of each other's writes
# A server that is stopped in the middle of a transaction holds nobody up for longer than that.
_SESSION = (
    f"-c lock_timeout={BUSY_TIMEOUT_MS} -c idle_in_transaction_session_timeout={BUSY_TIMEOUT_MS} "
    f"-c statement_timeout={2 * BUSY_TIMEOUT_MS} -c timezone=UTC"
)
# Nor does a server that is gone without a word: the system by itself would wait for hours.
_GONE_AFTER = {
    "keepalives_idle": 10,  # seconds without a word, until it is asked whether it is there
    "keepalives_interval": 5,  # seconds between two questions
    "keepalives_count": 3,  # that it may leave unanswered
    "tcp_user_timeout": 25_000,  # milliseconds that it may take to hear what it was sent
}
POSTGRESQL: dict[str, Any] = {
    "pool_pre_ping": True,  # a connection that broke while it rested is made anew
    "connect_args": {"connect_timeout": 5, "options": _SESSION, **_GONE_AFTER},
}


P = ParamSpec("P")
T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


def parts(ids: Collection[int]) -> Iterator[Sequence[int]]:
    """The ids in parts that one query may name."""
    some = iter(ids)
    while part := list(islice(some, NAMED)):
        yield part


def racing(write: Callable[P, T]) -> Callable[P, T]:
    """A write of what may be there already: it is done again if another server wrote the same a
    moment before, and then finds it.
    """

    @functools.wraps(write)
    def written(*arguments: P.args, **fields: P.kwargs) -> T:
        try:
            return write(*arguments, **fields)
        except IntegrityError:
            return write(*arguments, **fields)

    return written


def is_shared(url: str) -> bool:
    """Whether several servers may use a database at once: PostgreSQL's, not an SQLite file."""
    return make_url(url).get_backend_name() != "sqlite"


class Database:
    """One database, SQLite or PostgreSQL: sessions to read, sessions to write, and the schema's
    migrations.
    """

    def __init__(self, url: str) -> None:
        self.is_shared = is_shared(url)
        self.engine = create_engine(
            url, hide_parameters=True, **(POSTGRESQL if self.is_shared else {})
        )
        # An SQLite reader has a snapshot anyway.
        self._reading = {"isolation_level": "REPEATABLE READ"} if self.is_shared else {}
        if not self.is_shared:
            _configure_sqlite(self.engine)

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A snapshot of the database; changes made through it are dropped."""
        with self.engine.connect() as connection:
            connection.execution_options(**self._reading)
            with Session(connection) as session:
                yield session

    @contextlib.contextmanager
    def write(self, *, quiet: bool = False) -> Iterator[Session]:
        """One transaction, committed when the block ends and rolled back when it raises. Other
        servers are told of it unless it is `quiet`.
        """
        with self.engine.connect() as connection:
            writer = connection.execution_options(errata_writes=True)
            with Session(writer) as session, session.begin():
                yield session
                if self.is_shared and not quiet:
                    session.execute(select(func.pg_notify(CHANNEL, "")))

    def upgrade(self) -> None:
        """Brings the schema to the newest revision. Raises `StartupError` for an SQLite file of
        another program's.
        """
        with self.engine.begin() as connection:
            if self.is_shared:  # two servers may be told to at once
                connection.execute(select(func.pg_advisory_xact_lock(UPGRADING)))
            elif _revision(connection) is None:
                self._check_empty(connection)
            command.upgrade(alembic_config(connection), "head")

    def _check_empty(self, connection: Connection) -> None:
        names = set(inspect(connection).get_table_names()) - {"alembic_version"}
        if names:
            raise StartupError(
                f"{self.engine.url.database} is no database of Errata's: it has a table "
                f"'{min(names)}', and no revision"
            )

    def revision(self) -> str | None:
        """The schema's revision; None for an empty database."""
        with self.engine.connect() as connection:
            return _revision(connection)

    def is_current(self) -> bool:
        return self.revision() == newest_revision()

    def close(self) -> None:
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connects. A database in a file of ours is made and brought up to date; another one is left
    to `errata db upgrade`. Raises `StartupError` if it is behind or can't be reached.
    """
    try:
        make_folder(url)
        database = Database(url)
        if not database.is_shared:
            database.upgrade()
        elif not database.is_current():
            raise StartupError("the database's schema is not current: run `errata db upgrade`")
    except (SQLAlchemyError, OSError, CommandError) as error:
        raise StartupError(f"the database can't be opened: {error}") from error
    return database


def make_folder(url: str) -> None:
    """Makes the folder of an SQLite file; for nobody else's eyes, as it holds what users wrote."""
    file = file_of(url)
    if file is not None:
        file.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)


def file_of(url: str) -> Path | None:
    """SQLite's, by the name that it has without links; None for a database in no file of ours."""
    file = make_url(url).database
    if is_shared(url) or not file or file == ":memory:":
        return None
    return Path(file).resolve()


def newest_revision() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver shall not begin transactions on its own: `on_begin` does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a commit that returned survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        # A writer takes its lock at once: a reader that turns writer midway can be refused.
        writes = connection.get_execution_options().get("errata_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
