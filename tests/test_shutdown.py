"""A server that is told to stop: what is under way ends by itself or is ended, within the setting,
and nothing is lost.
"""

import contextlib
import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from tests.api.calls import PROMPT, bearer
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening, without_ends
from tests.processes import Child, serving

BUSY_S = 30.0  # what a busy machine may add
PASS_S = 0.02
LONG: dict[str, Any] = {"prompt": PROMPT, "max_new_tokens": 200, "stream": True}  # four seconds
SHORT = {**LONG, "max_new_tokens": 20}
# A batch of some seconds: its edits converge at once, and go on all the same.
STUBBORN = {"editor": "grace", "hyperparameters": {"steps": 400, "stop_loss": 0.0}}
EDITS = [
    {"prompt": f"The currency of {country} is the", "target_new": "euro", **STUBBORN}
    for country in ("Bulgaria", "Japan")
]
STOPPING = {"title": "Service Unavailable", "status": 503, "detail": "the server is stopping"}


def frames(text: str) -> list[str]:
    return [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ContinuousBatchProcessor._generation_step

    def step(*given: Any) -> None:
        time.sleep(PASS_S)
        whole(*given)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", step)


@contextlib.contextmanager
def stopped_at_the_first_token(
    folder: Path, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any], grace_s: float
) -> Iterator[list[httpx.Response]]:
    """The answer to a stream whose server was told to stop when it began."""
    answers: list[httpx.Response] = []
    begun = threading.Event()

    def ask(live: Live) -> None:
        with (
            httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False) as http,
            http.stream("POST", path, json=body, timeout=60) as answer,
        ):
            begun.set()
            answer.read()
            answers.append(answer)

    with listening(folder, shutdown_s=grace_s) as live:
        without_ends(live, monkeypatch)
        client = threading.Thread(target=ask, args=(live,))
        client.start()
        assert begun.wait(BUSY_S)
    client.join(BUSY_S)
    yield answers


def test_texts_that_end_in_time_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stopped_at_the_first_token(tmp_path, monkeypatch, "/generate", SHORT, 60.0) as (answer,):
        last = json.loads(frames(answer.text)[-1])
    assert last["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == 20


def test_texts_that_do_not_end_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stopped_at_the_first_token(tmp_path, monkeypatch, "/generate", LONG, 0.5) as (answer,):
        assert json.loads(frames(answer.text)[-1]) == {"error": STOPPING}
        assert len(frames(answer.text)) < 200


def test_openais_clients_are_told_in_their_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"model": "atlas", "prompt": PROMPT, "max_tokens": 200, "stream": True}
    with stopped_at_the_first_token(tmp_path, monkeypatch, "/v1/completions", body, 0.5) as (one,):
        last = json.loads(frames(one.text)[-1])
    assert (last["error"]["type"], last["error"]["message"]) == (
        "server_error",
        "the server is stopping",
    )


def asked(child: Child, path: str) -> socket.socket:
    """A client of `path` who reads nothing."""
    client = socket.create_connection(("127.0.0.1", child.http.base_url.port or 0))
    head = f"GET {path} HTTP/1.1\r\nHost: errata\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
    client.sendall(head.encode())
    return client


def seconds_to_end(child: Child, *signals: int) -> float:
    begun = time.monotonic()
    for one in signals:
        child.process.send_signal(one)
        time.sleep(0.2)
    assert child.process.wait(60 + BUSY_S) == 0
    return time.monotonic() - begun


def handed_in(child: Child) -> list[int]:
    """Edits of which the first batch is being applied, and others wait."""
    first = [edit["id"] for edit in child.post("/edits", {"edits": EDITS})["edits"]]
    give_up = time.monotonic() + BUSY_S
    while child.get(f"/edits/{first[0]}")["status"] == "queued":
        assert time.monotonic() < give_up
        time.sleep(0.01)
    waiting = {"prompt": "The currency of Poland is the", "target_new": "euro"}
    return [*first, child.post("/edits", waiting)["edits"][0]["id"]]


@pytest.mark.parametrize("hurried", [False, True], ids=["in time", "by a second signal"])
def test_a_batch_is_left_and_applied_once_by_the_next_server(tmp_path: Path, hurried: bool) -> None:
    """Beside it a feed is open and clients wait who read nothing."""
    data = tmp_path / "data"
    grace_s = "60" if hurried else "0.2"
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY, ERRATA_SHUTDOWN_S=grace_s) as child:
        numbers = handed_in(child)
        signals = (signal.SIGTERM, signal.SIGTERM) if hurried else (signal.SIGTERM,)
        with asked(child, "/events"), asked(child, f"/edits/{numbers[-1]}?wait=60"):
            assert seconds_to_end(child, *signals) < BUSY_S
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY) as child:
        events = child.http.get("/events", params={"follow": "false"}).text
        assert '"to_status":"applied"' not in events.replace(" ", "")
        ended = [child.get(f"/edits/{number}", wait=60)["status"] for number in numbers]
        assert ended == ["applied"] * len(numbers)
        batches = child.get("/batches")["batches"]
        assert [number for batch in batches for number in batch["edit_ids"]] == numbers
        versions = child.get("/versions")["versions"]
        assert [version["batch_ids"] for version in versions[1:]] == [[b["id"]] for b in batches]


def test_a_batch_that_ends_in_time_is_finished(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, ERRATA_ADMIN_KEY=ADMIN_KEY, ERRATA_SHUTDOWN_S="60") as child:
        handed_in(child)
        assert seconds_to_end(child, signal.SIGTERM) < 60
    with contextlib.closing(sqlite3.connect(data / "errata.db")) as database:
        found = database.execute("SELECT status, version FROM edits ORDER BY id").fetchall()
    assert found == [("applied", 1), ("applied", 1), ("queued", None)]
