"""A server on the bundled model, in this process: tests talk HTTP to it."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from service.api.dependencies import Services
from service.app import build, create_app
from service.operations.first_key import ensure_admin_key
from service.settings import Settings
from service.storage.database import open_database
from service.storage.keys import KeyRing
from tests.postgresql import Cluster, running
from tests.quality.models import GEMMA3, SMOLLM2, RealModel, missing

ADMIN_KEY = "a-key-for-tests"
EDITOR = "grace"  # of tests that do not choose one: it is ready at once
# Tests' models are small: threads that wait for each other cost more than they help.
torch.set_num_threads(1)


@dataclass(frozen=True)
class Server:
    http: TestClient  # with the admin key
    services: Services


@contextlib.contextmanager
def built(folder: Path, **settings: object) -> Iterator[tuple[Services, FastAPI]]:
    """What serves from the data directory `folder`; its worker starts with the app."""
    chosen = Settings.model_validate(
        {"data_dir": folder, "admin_key": SecretStr(ADMIN_KEY), "editor": EDITOR, **settings}
    )
    database = open_database(chosen.resolved_database_url)
    ensure_admin_key(chosen, KeyRing(database))
    services, at_work = build(chosen, database)
    yield services, create_app(services, at_work)
    database.close()


def run_server(folder: Path, **settings: object) -> Iterator[Server]:
    """Serves until the generator is closed; a second one on the same folder is a restart."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with (
        built(folder, **settings) as (services, app),
        TestClient(app, headers=headers, raise_server_exceptions=False) as http,
    ):
        yield Server(http, services)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A fresh server with an empty log."""
    yield from run_server(tmp_path)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module whose tests change nothing that another of them looks at."""
    yield from run_server(tmp_path_factory.mktemp("server"))


@pytest.fixture
def _eager() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


def real(model: RealModel) -> Path:
    """Its folder; the test is skipped where it is not there."""
    if not model.is_there:
        pytest.skip(missing(model))
    return model.folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    return real(SMOLLM2)


@pytest.fixture(scope="session")
def gemma3() -> Path:
    return real(GEMMA3)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not tested for want of a real model is told, which `-q` would not."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])]
    for model in (SMOLLM2, GEMMA3):
        count = sum(missing(model) in reason for reason in reasons)
        if count:
            terminalreporter.write_line(f"skipped ({count}): {missing(model)}", yellow=True)
