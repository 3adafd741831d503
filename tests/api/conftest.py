"""Servers in states that the HTTP tests ask for."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY, Server, built


@contextlib.contextmanager
def idle_server(folder: Path, **settings: object) -> Iterator[Server]:
    """A server whose worker never starts: what is queued stays queued."""
    with built(folder, **settings) as (services, app):
        # Not entered, so that the lifespan, which starts the worker, does not run.
        http = TestClient(app, headers=bearer(ADMIN_KEY), raise_server_exceptions=False)
        yield Server(http, services)
        http.close()


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Server]:
    with idle_server(tmp_path) as server:
        yield server
