"""A database built by the migrations."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'errata.db'}")
    database.upgrade()
    yield database
    database.close()
