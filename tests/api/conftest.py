"""Servers in states that the HTTP tests ask for."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from service.app import build, create_app, ensure_admin_key
from service.settings import Settings
from service.storage.database import open_database
from service.storage.keys import KeyRing
from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY, Server


@contextlib.contextmanager
def idle_server(folder: Path, **settings: object) -> Iterator[Server]:
    """A server whose worker never starts: what is queued stays queued."""
    chosen = Settings.model_validate(
        {"data_dir": folder, "admin_key": SecretStr(ADMIN_KEY), **settings}
    )
    database = open_database(chosen.resolved_database_url)
    ensure_admin_key(chosen, KeyRing(database))
    services, worker = build(chosen, database)
    app = create_app(services, worker)
    # Not entered, so that the lifespan, which starts the worker, does not run.
    http = TestClient(app, headers=bearer(ADMIN_KEY), raise_server_exceptions=False)
    yield Server(http, services)
    http.close()
    database.close()


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Server]:
    with idle_server(tmp_path) as server:
        yield server
