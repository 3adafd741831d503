"""Over a real socket, a client who leaves frees the slot of its text."""

import asyncio
import gc
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from transformers.generation.continuous_batching.continuous_api import ContinuousBatchProcessor

from service.api.streams import unless_gone
from tests.api.calls import PROMPT
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening, unfinished, without_ends
from tests.waiting import until

FREE_WITHIN_S = 2.0
BUSY_S = 10.0  # what a busy machine may need
SCORING = 4  # texts at a time
PASS_S = 0.05  # of a text of 200 tokens: ten seconds, were nobody to stop it
LEAVING_S = 0.2  # until the server's event loop has heard that a socket is closed
LONG: dict[str, Any] = {"prompt": PROMPT, "max_new_tokens": 200}
LONG_COMPLETION = {"model": "atlas", "prompt": PROMPT, "max_tokens": 200}
LONG_CHAT = {"model": "atlas", "messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with listening(tmp_path_factory.mktemp("live")) as live:
        live.services.engine.loaded.tokenizer.chat_template = "{{ messages[0]['content'] }}"
        yield live


@pytest.fixture(autouse=True)
def _slow(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ContinuousBatchProcessor._generation_step

    def step(*given: Any) -> None:
        time.sleep(PASS_S)
        whole(*given)

    monkeypatch.setattr(ContinuousBatchProcessor, "_generation_step", step)
    without_ends(live, monkeypatch)


def asked(live: Live, method: str, path: str, body: dict[str, Any] | None) -> socket.socket:
    """The socket on which a question was sent."""
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    client = socket.create_connection(("127.0.0.1", live.port), timeout=10)
    client.sendall(head.encode() + content)
    return client


def wait_for(live: Live, texts: int) -> float:
    """Seconds until the engine is at so many texts."""
    return until(lambda: unfinished(live) == texts, 2 * FREE_WITHIN_S)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/generate", LONG),
        ("GET", "/generate?prompt=Peru&max_new_tokens=200", None),
        ("POST", "/v1/completions", LONG_COMPLETION),
        ("POST", "/v1/chat/completions", LONG_CHAT),
    ],
)
def test_a_client_who_leaves_frees_its_slot(
    method: str,
    path: str,
    body: dict[str, Any] | None,
    streamed: bool,
    live: Live,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if body is None:
        path += f"&stream={str(streamed).lower()}"
    else:
        body = {**body, "stream": streamed}
    client = asked(live, method, path, body)
    if streamed:
        seen = b""
        while seen.count(b"data: ") < 4:
            seen += client.recv(4_096)
        assert b"text/event-stream" in seen
    wait_for(live, texts=1)
    client.close()
    assert wait_for(live, texts=0) < FREE_WITHIN_S
    # A client may leave: nothing has failed.
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_client_who_leaves_before_the_text_begins_frees_its_slot(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt_tokens, submit = live.services.engine.prompt_tokens, live.services.engine.submit
    begun = threading.Event()

    def leave(*given: Any) -> Any:
        client.close()
        time.sleep(LEAVING_S)
        return prompt_tokens(*given)

    def begin(*given: Any) -> Any:
        runs = submit(*given)
        begun.set()
        return runs

    monkeypatch.setattr(live.services.engine, "prompt_tokens", leave)
    monkeypatch.setattr(live.services.engine, "submit", begin)
    client = asked(live, "POST", "/generate", {**LONG, "stream": True})
    assert begun.wait(10)
    assert wait_for(live, texts=0) < FREE_WITHIN_S


def test_nothing_is_scored_for_clients_who_have_left(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who had to wait for their turn."""
    whole, scored, released = live.services.ask.score, [], threading.Event()

    def score(prompt: str, *given: Any, **more: Any) -> Any:
        scored.append(prompt)
        released.wait()
        return whole(prompt, *given, **more)

    monkeypatch.setattr(live.services.ask, "score", score)
    waiting = live.services.lanes.scoring._limiter.statistics

    def asking(name: str, count: int) -> list[socket.socket]:
        body = {"prompt": name, "targets": ["euro"]}
        return [asked(live, "POST", "/score", body) for _ in range(count)]

    try:
        staying = asking("staying", SCORING)
        until(lambda: len(scored) == SCORING, BUSY_S)
        leaving = asking("leaving", 8)
        until(lambda: waiting().tasks_waiting == len(leaving), BUSY_S)
        for client in leaving:
            client.close()
        until(lambda: waiting().tasks_waiting == 0, BUSY_S)
    finally:
        released.set()
    for client in staying:
        assert b"200 OK" in client.recv(4_096)
        client.close()
    assert scored == ["staying"] * SCORING


def test_what_fails_when_its_client_has_left_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """By itself asyncio logs it with its message."""

    async def answer() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            raise ValueError(PROMPT)

    async def left() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def ask() -> None:
        with pytest.raises(ClientDisconnect):
            await unless_gone(Request({"type": "http"}, left), answer())
        await asyncio.sleep(0.01)
        gc.collect()

    asyncio.run(ask())
    assert caplog.records == []
