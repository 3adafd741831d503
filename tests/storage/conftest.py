"""Databases built by the migrations: each test that asks for one runs on both kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.leases import Lease
from service.storage.database import Database
from service.storage.leases import Leases
from tests.postgresql import Cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'errata.db'}"
    cluster: Cluster = request.getfixturevalue("postgresql")
    return cluster.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database, seconds=60)


@pytest.fixture
def lease(leases: Leases) -> Lease:
    taken = leases.take("tests")
    assert taken is not None
    return taken
