"""`GET /events`: what happens, as it happens, to those who may see it."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.domain.keys import Scope
from service.operations import feed
from service.storage.database import Database, now
from service.storage.events import Events
from service.storage.keys import new_secret
from service.storage.tables import EventRow
from tests.api.calls import EURO, apply, bearer, new_key, refused
from tests.conftest import ADMIN_KEY, Server
from tests.live import Live, listening
from tests.postgresql import Cluster

SOON_S = 5.0
LEVA: dict[str, Any] = {**EURO, "target_new": "leva"}


def parsed(text: str) -> list[dict[str, Any]]:
    """The data of a stream's events, which name the id and kind that stand beside them."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":"))
        if "data" in lines:
            event = json.loads(lines["data"])
            assert (lines["id"], lines["event"]) == (str(event["id"]), event["kind"])
            found.append(event)
    return found


def until_now(server: Server, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = server.http.get("/events?follow=false", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    return parsed(answer.text)


def test_a_log_tells_what_happened_and_who_did_it(server: Server) -> None:
    editor = new_key(server, Scope.EDIT)
    edit = server.http.post("/edits", json=EURO, headers=editor).json()["edits"][0]["id"]
    server.http.get(f"/edits/{edit}?wait=30", headers=editor)
    server.http.post("/admin/batches/1/rollback", json={"reason": "wrong"})

    found = until_now(server, editor)
    assert [
        (e["kind"], e["edit_id"], e["version"], e["from_status"], e["to_status"], e["actor"])
        for e in found
    ] == [
        ("edit", edit, None, None, "queued", "key:2"),
        ("edit", edit, None, "queued", "applying", "worker"),
        ("edit", edit, 1, "applying", "applied", "worker"),
        ("version", None, 1, None, None, "worker"),
        ("edit", edit, 2, "applied", "rolled_back", "key:1"),
        ("version", None, 2, None, None, "key:1"),
    ]
    assert [event["reason"] for event in found[-2:]] == ["wrong", "wrong"]
    assert EURO["prompt"] not in json.dumps(found)


def test_others_edits_are_not_told_of(server: Server) -> None:
    mine, theirs = new_key(server, Scope.EDIT), new_key(server, Scope.EDIT)
    server.http.post("/edits", json=EURO, headers=mine)
    apply(server.http, LEVA)

    assert {event["edit_id"] for event in until_now(server, mine)} == {1, None}
    assert {event["edit_id"] for event in until_now(server, theirs)} == {None}
    assert {event["edit_id"] for event in until_now(server)} == {1, 2, None}


def test_a_reader_goes_on_where_it_was(idle: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE", 2)
    for _ in range(5):
        idle.http.post("/edits", json=EURO)
    numbers = [event["id"] for event in until_now(idle)]
    assert numbers == [1, 2, 3, 4, 5]

    after = idle.http.get("/events?follow=false&after=3")
    assert [event["id"] for event in parsed(after.text)] == [4, 5]
    last = idle.http.get("/events?follow=false&after=1", headers={"Last-Event-ID": "4"})
    assert [event["id"] for event in parsed(last.text)] == [5]
    assert parsed(idle.http.get("/events?follow=false&after=99").text) == []


@pytest.mark.parametrize("given", ["-1", "x", "1.5", str(2**63)])
def test_what_is_no_event(given: str, shared_server: Server) -> None:
    headers = {"Last-Event-ID": given}
    refused(shared_server.http.get("/events", headers=headers), 422, "last-event-id")
    refused(shared_server.http.get(f"/events?after={given}"), 422, "after")


def test_storage_in_trouble_is_no_end(idle: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Events, "page", fail)
    idle.http.post("/edits", json=EURO)
    text = idle.http.get("/events?follow=false").text
    assert "event: failure" in text
    assert '"status": 503' in text
    assert "disk" not in text


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr(feed, "KEEP_ALIVE_S", 0.2)
    with listening(tmp_path) as live:
        yield live


@contextlib.contextmanager
def followed(live: Live, key: str = ADMIN_KEY, **headers: str) -> Iterator[Iterator[str]]:
    """The lines of a feed as they come."""
    with (
        httpx.Client(base_url=live.url, headers=bearer(key), trust_env=False) as client,
        client.stream("GET", "/events", headers=headers, timeout=SOON_S) as answer,
    ):
        assert answer.status_code == 200
        yield answer.iter_lines()


def until(lines: Iterator[str], wanted: Callable[[str], bool]) -> str:
    return next(line for line in lines if wanted(line))


def ends_within(seconds: float, lines: Iterator[str]) -> None:
    begun = time.monotonic()
    for line in lines:
        assert line in ("", ": still here")
        assert time.monotonic() - begun < seconds


def post(live: Live) -> None:
    httpx.post(f"{live.url}/edits", json=EURO, headers=bearer(ADMIN_KEY), trust_env=False)


def test_events_come_as_they_happen_and_signs_of_life_between(live: Live) -> None:
    with followed(live) as lines:
        assert until(lines, bool) == "retry: 1000"
        until(lines, lambda line: line == ": still here")
        post(live)
        assert until(lines, lambda line: line.startswith("id:")) == "id: 1"
        until(lines, lambda line: '"to_status":"applied"' in line)


def test_a_stream_ends_with_its_key(live: Live) -> None:
    secret = new_secret()
    key = live.services.keys.add("lent", Scope.EDIT, secret)
    with followed(live, secret) as lines:
        until(lines, lambda line: line == ": still here")
        live.services.keys.revoke(key.id, actor="a test")
        ends_within(SOON_S, lines)


def test_a_stream_ends_with_the_server(live: Live) -> None:
    with followed(live) as lines:
        until(lines, lambda line: line == ": still here")
        live.services.insights.close()
        ends_within(feed.POLL_S + 0.5, lines)


def test_other_servers_events_come_in_order(
    postgresql: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server's transaction is open: what is committed meanwhile waits for it."""
    monkeypatch.setattr(feed, "POLL_S", 60.0)  # LISTEN wakes
    monkeypatch.setattr(feed, "SETTLE_S", 0.05)
    url = postgresql.new_database()
    other = Database(url)
    other.upgrade()
    with listening(tmp_path, database_url=url, role="api") as live, followed(live) as lines:
        numbers = (line for line in lines if line.startswith("id:"))
        write(other)
        assert next(numbers) == "id: 1"
        opened, go_on = threading.Event(), threading.Event()
        holding = threading.Thread(target=write, args=(other, opened, go_on))
        holding.start()
        assert opened.wait(SOON_S)
        write(other)  # 3, before 2 is there
        threading.Timer(0.3, go_on.set).start()
        assert [next(numbers), next(numbers)] == ["id: 2", "id: 3"]
        assert go_on.is_set()
        holding.join()
    other.close()


def write(
    database: Database,
    opened: threading.Event | None = None,
    go_on: threading.Event | None = None,
) -> None:
    with database.write() as session:
        session.add(EventRow(actor="another server", created_at=now()))
        session.flush()
        if opened is not None and go_on is not None:
            opened.set()
            assert go_on.wait(SOON_S)
