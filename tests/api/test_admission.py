"""What is too much at once is refused at once, and nobody is kept out by those who are refused."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.admission import EARLY_S, LATE_S, Admission
from service.api.lanes import Lane
from service.errors import OverloadedError
from tests.api.calls import EURO, PROMPT, bearer, openai_error
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening, without_ends

MOST = 2
LONG: dict[str, Any] = {"prompt": PROMPT, "max_new_tokens": 500, "stream": True}
FULL = "2 requests are being answered, and no more are taken for now"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("crowded")
    with listening(folder, max_requests=MOST, max_waiting=1, role="api") as live:
        yield live


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False, timeout=30
    ) as client:
        yield client


def test_a_request_too_many(
    live: Live, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ends(live, monkeypatch)
    with contextlib.ExitStack() as streams:
        for _ in range(MOST):
            answer = streams.enter_context(http.stream("POST", "/generate", json=LONG))
            assert answer.status_code == 200
        refusal = http.get("/versions")
        assert (refusal.status_code, refusal.json()["detail"]) == (503, FULL)
        assert refusal.headers["Content-Type"] == "application/problem+json"
        assert refusal.headers["Retry-After"] == "1"
        assert openai_error(http.get("/v1/models"), 503)["type"] == "server_error"
        # Who watches the server is let in.
        for path in ("/health", "/health/live", "/metrics"):
            assert http.get(path).status_code == 200
        assert http.get("/health/ready").status_code in (200, 503)
    give_up = time.monotonic() + 10
    while http.get("/versions").status_code == 503:
        assert time.monotonic() < give_up


def test_clients_who_wait_for_news(http: httpx.Client) -> None:
    edit = http.post("/edits", json=EURO).json()["edits"][0]["id"]  # which nobody applies
    with http.stream("GET", "/events") as feed:
        assert feed.status_code == 200
        for path in ("/events", f"/edits/{edit}?wait=30"):
            with http.stream("GET", path) as refusal:
                assert refusal.status_code == 429
                refusal.read()
            assert refusal.json()["detail"].startswith("1 clients wait for news")
            assert refusal.headers["Retry-After"] == "1"
        assert http.get(f"/edits/{edit}").status_code == 200
        assert http.get("/events?follow=false").status_code == 200
    give_up = time.monotonic() + 10
    while http.get(f"/edits/{edit}?wait=0.01").status_code == 429:
        assert time.monotonic() < give_up


def test_a_lane_takes_so_many_and_leaves_other_threads_alone() -> None:
    async def main() -> None:
        lane = Lane(threads=1, waiting=1, what="calls wait")
        go = threading.Event()
        under_way = [asyncio.create_task(lane.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError) as error:
            await lane.run(go.wait)
        assert str(error.value) == "2 calls wait, and no more are taken for now"
        assert await asyncio.to_thread(lambda: "free") == "free"
        go.set()
        assert await asyncio.gather(*under_way) == [True, True]
        assert await lane.run(lambda: "free again") == "free again"

    asyncio.run(main())


@pytest.mark.parametrize(("status", "most", "cost_s"), [(429, 99, LATE_S), (200, 0, EARLY_S)])
def test_refusals_are_paced_and_hold_no_place(status: int, most: int, cost_s: float) -> None:
    """Those of a handler, and those that no handler sees."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("", status)(scope, receive, send)

    async def main() -> float:
        admission = Admission(app, most)
        sent: list[int] = []

        async def send(message: Any) -> None:
            sent.append(message.get("status", 0))

        async def receive() -> Any:
            return {"type": "http.request"}

        scope = {"type": "http", "path": "/score", "method": "POST", "headers": []}
        asked = [asyncio.create_task(admission(scope, receive, send)) for _ in range(20)]
        await asyncio.sleep(0)
        assert admission._under_way == 0
        begun = time.monotonic()
        await asyncio.gather(*asked)
        assert {*sent} == {0, 503 if most == 0 else status}
        return time.monotonic() - begun

    assert asyncio.run(main()) > 18 * cost_s


def test_bodies_are_taken_as_they_are(http: httpx.Client) -> None:
    for path in ("/generate", "/edits", "/v1/completions"):
        for encoding in ("gzip", "br", "deflate, gzip"):
            refusal = http.post(path, content=b"\x1f\x8b", headers={"Content-Encoding": encoding})
            assert refusal.status_code == 415
            assert "Content-Encoding" in refusal.text
    plain = http.post(
        "/generate", json={"prompt": PROMPT}, headers={"Content-Encoding": "identity"}
    )
    assert plain.status_code == 200
