"""A server serves what others commit, and says so when it can't."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from service.operations import following
from service.operations.overlays import Overlays
from tests.conftest import Server, run_server
from tests.postgresql import Cluster

WITHIN_S = 20.0


@pytest.fixture
def server(tmp_path: Path, postgresql: Cluster) -> Iterator[Server]:
    yield from run_server(tmp_path, database_url=postgresql.new_log())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LAG_S", 0.2)


def until_ready(server: Server, *reasons: str) -> None:
    wanted = {"ready": not reasons, "reasons": list(reasons)}
    give_up = time.monotonic() + WITHIN_S
    while (found := _without_seconds(server)) != wanted:
        assert time.monotonic() < give_up, found
        time.sleep(0.02)


def _without_seconds(server: Server) -> Any:
    found = server.http.get("/health/ready").json()
    found["reasons"] = [reason.split(" was last read")[0] for reason in found["reasons"]]
    return found


def out_of_reach(_overlays: Overlays) -> None:
    raise OperationalError("SELECT", {}, OSError("no route to host"))


def never_done(_overlays: Overlays) -> None:
    time.sleep(1)
    raise TimeoutError


@pytest.mark.parametrize("trouble", [out_of_reach, never_done])
def test_a_server_that_lags_says_so(
    trouble: Callable[[Overlays], None], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    until_ready(server)
    with monkeypatch.context() as patch:
        patch.setattr(Overlays, "catch_up", trouble)
        until_ready(server, "the log")
        reason = server.http.get("/health/ready").json()["reasons"][0]
        assert reason.startswith("the log was last read ")
        assert reason.endswith(" s ago: newer versions may be missing")
    until_ready(server)
