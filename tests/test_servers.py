"""Several servers on one PostgreSQL: any of them takes edits and answers, one applies."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.postgresql import Cluster
from tests.processes import EURO, Child, serving
from tests.waiting import until

KEY = "a-key-for-tests"
LEASE_S = 1.0
# `make crash` stops servers more often.
STOPS = int(os.environ.get("ERRATA_STOPS", "3"))
EDITS = int(os.environ.get("ERRATA_STOPPED_EDITS", "8"))  # handed in before each of them
SOON_S = 1.0  # in which a version is served everywhere
BUSY_S = 30.0  # what a busy machine may need
Start = Callable[..., Child]


@pytest.fixture
def url(postgresql: Cluster) -> str:
    return postgresql.new_log()


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts another server on the same database and artifacts."""
    with ExitStack() as stack:
        names = iter("abcdefgh")

        def start(**variables: str) -> Child:
            folder = tmp_path / next(names)
            folder.mkdir()
            (folder / "artifacts").symlink_to(tmp_path / "artifacts")
            (tmp_path / "artifacts").mkdir(exist_ok=True)
            fixed = {
                "ERRATA_DATABASE_URL": url,
                "ERRATA_ADMIN_KEY": KEY,
                "ERRATA_LEASE_S": str(LEASE_S),
                "OMP_NUM_THREADS": "1",
            }
            return stack.enter_context(serving(folder, **fixed, **variables))

        yield start


def submitted(child: Child, *prompts: str) -> list[int]:
    edits = [{"prompt": prompt, "target_new": "euro"} for prompt in prompts]
    return [edit["id"] for edit in child.post("/edits", {"edits": edits})["edits"]]


def until_claimed(child: Child, number: int) -> None:
    until(lambda: child.get(f"/edits/{number}")["status"] != "queued", BUSY_S)


def settled(child: Child, number: int) -> Any:
    return child.get(f"/edits/{number}", wait=30)


def holder(url: str, servers: Sequence[Child]) -> Child | None:
    """Which of them applies edits now."""
    engine = create_engine(url)
    with engine.connect() as connection:
        name = connection.exec_driver_sql("SELECT holder FROM lease WHERE expires_at > now()")
        found = name.scalar()
    engine.dispose()
    return next((c for c in servers if found and f"-{c.process.pid}-" in found), None)


def prompt(number: int) -> str:
    return f"The currency of the {number}th country is the"


def test_any_takes_edits_one_applies_and_all_serve(start: Start) -> None:
    api, editor, both = start(ERRATA_ROLE="api"), start(ERRATA_ROLE="editor"), start()
    assert editor.http.get("/generate", params={"prompt": "x"}).status_code == 404
    for server in (api, both):
        assert server.answer(EURO["prompt"]) == " lev."
    (number,) = submitted(api, EURO["prompt"])
    edit = settled(both, number)
    assert (edit["status"], edit["version"]) == ("applied", 1)
    # Its client knows of the version once it is committed.
    until(lambda: api.answer(EURO["prompt"]) == both.answer(EURO["prompt"]) == " euro.", SOON_S)
    body = {"reason": "it was right", "expected_version": 1}
    assert api.post("/admin/batches/1/rollback", body)["version"] == 2
    until(lambda: both.answer(EURO["prompt"]) == " lev.", SOON_S)
    assert [c.get("/version")["version"] for c in (api, editor, both)] == [2, 2, 2]
    for name, child in (("api", api), ("editor", editor)):
        assert child.http.get("/health/ready").json()["ready"], name


def test_a_dead_holders_batch_is_anothers(start: Start) -> None:
    first = start(ERRATA_LINGER_MS="60000")
    second = start()
    (number,) = submitted(second, EURO["prompt"])  # which the first lets wait
    first.kill()
    edit = settled(second, number)
    assert (edit["status"], edit["version"]) == ("applied", 1)


def test_a_stopped_holder_is_overtaken_and_its_batch_refused(url: str, start: Start) -> None:
    servers = [start(), start()]
    numbers: list[int] = []
    for turn in range(STOPS):
        until(lambda: holder(url, servers) is not None, BUSY_S)
        stopped = holder(url, servers)
        assert stopped is not None
        other = servers[1 - servers.index(stopped)]
        numbers += submitted(other, *(prompt(turn * EDITS + i) for i in range(EDITS)))
        until_claimed(stopped, numbers[-1])
        os.kill(stopped.process.pid, signal.SIGSTOP)  # in the middle of its batch
        try:
            assert settled(other, numbers[-1])["status"] == "applied"
        finally:
            os.kill(stopped.process.pid, signal.SIGCONT)
    ended = [settled(servers[0], number)["status"] for number in numbers]
    assert ended == ["applied"] * len(numbers)
    batches = servers[0].get("/batches", limit=1_000)["batches"]
    assert [edit for batch in batches for edit in batch["edit_ids"]] == numbers
    versions = servers[0].get("/versions", limit=1_000)["versions"]
    assert [version["batch_ids"] for version in versions[1:]] == [[b["id"]] for b in batches]
    until(lambda: {c.get("/version")["version"] for c in servers} == {len(batches)}, SOON_S)
