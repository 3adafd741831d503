"""`errata events`."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.commands.conftest import KEY, stand_in
from tests.processes import ERRATA, Child, child_environment, errata, serving

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def edit(child: Child) -> int:
    """Event 1 and those after it."""
    body = {"prompt": "The capital of Kazakhstan is", "target_new": "Astana"}
    edit = child.post("/edits", body)["edits"][0]["id"]
    child.get(f"/edits/{edit}", wait=30)
    return int(edit)


def test_events_a_line_each(cli: Cli, edit: int) -> None:
    lines = cli("events").stdout.splitlines()
    mine = [line for line in lines if f"edit {edit} " in line]
    assert [line.split("  ")[2:] for line in mine] == [
        [f"edit {edit} queued", "by key:1"],
        [f"edit {edit} queued → applying", "by worker"],
        [f"edit {edit} applying → applied", "by worker"],
    ]


@pytest.mark.usefixtures("edit")
def test_events_as_json_lines(cli: Cli) -> None:
    events = [json.loads(line) for line in cli("events", "--json").stdout.splitlines()]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    rest = cli("events", "--json", "--after", str(events[1]["id"])).stdout.splitlines()
    assert [json.loads(line) for line in rest] == events[2:]


def test_followed_until_the_server_ends(tmp_path: Path) -> None:
    with serving(tmp_path / "data", ERRATA_ADMIN_KEY=KEY) as child:
        follower = subprocess.Popen(
            [ERRATA, "events", "--follow", "--json"],
            env=child_environment(tmp_path, ERRATA_URL=child.url, ERRATA_API_KEY=KEY),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        child.post("/edits", {"prompt": "The capital of Kazakhstan is", "target_new": "Astana"})
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["to_status"] == "queued"
        assert follower.stderr is not None
        os.kill(child.process.pid, signal.SIGTERM)
        rest, errors = follower.stdout.readlines(), follower.stderr.read()
        last = json.loads(rest[-1])["id"] if rest else 1
        assert errors == f"error: the server ended the feed; go on with --after {last}\n"
        assert follower.wait() == 3
        follower.stdout.close()
        follower.stderr.close()
        child.process.wait()


@pytest.mark.parametrize(
    ("status", "body", "code", "reason"),
    [
        (200, 'event: failure\ndata: {"error": {}}\n\n', 3, "the server failed after event 7"),
        (200, "event: edit\ndata: nonsense\n\n", 3, "is not Errata"),
        (200, "<html>\n", 3, "is not Errata"),
        (401, '{"detail": "no key"}', 1, "401 Unauthorized: no key"),
    ],
)
def test_what_goes_wrong_is_one_line(status: int, body: str, code: int, reason: str) -> None:
    with stand_in((status, body)) as url:
        result = errata("events", "--after=7", ERRATA_URL=url, ERRATA_API_KEY="x")
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert reason in result.stderr
