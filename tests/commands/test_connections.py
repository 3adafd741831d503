"""What clients do to a socket costs the server bounded time and memory."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from service.commands.connections import FULL, UNREADABLE
from tests.api.calls import PROMPT
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening
from tests.waiting import until

CLIENT_S = 0.5
MOST = 4  # connections
BUSY_S = 20.0
MIB = 1 << 20
HEAD = b"GET /health HTTP/1.1\r\nHost: errata\r\n"
POST = (
    b"POST /generate HTTP/1.1\r\nHost: errata\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer " + ADMIN_KEY.encode() + b"\r\n"
)
GENERATE = json.dumps({"prompt": PROMPT}).encode()
LATE = "the request did not come whole within 0.5 s"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    with listening(folder, client_timeout_s=CLIENT_S, max_connections=MOST) as live:
        yield live


def connect(live: Live) -> socket.socket:
    return socket.create_connection(("127.0.0.1", live.port), timeout=BUSY_S)


def answer(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection, which it does."""
    found = b""
    try:
        while chunk := client.recv(65_536):
            found += chunk
    except ConnectionResetError:  # it reads no further than it must
        pass
    return found


def problem(found: bytes) -> dict[str, Any]:
    """The one problem that was answered."""
    head, _, body = found.partition(b"\r\n\r\n")
    parsed: dict[str, Any] = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % parsed["status"])
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    return parsed


def wait_for(live: Live, connections: int) -> None:
    """As many as that, and none that is only about to close."""
    until(lambda: len(live.connections) == connections, BUSY_S)


@pytest.fixture(autouse=True)
def _all_end(live: Live) -> Iterator[None]:
    yield
    wait_for(live, 0)
    with connect(live) as client:
        client.sendall(HEAD + b"Connection: close\r\n\r\n")
        assert answer(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"X: %s\r\n\r\n" % (b"a" * MIB), id="a header of a mebibyte"),
        pytest.param(HEAD + b"X: a\r\n" * 200_000 + b"\r\n", id="a mebibyte of headers"),
        pytest.param(b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * MIB), id="a path of a mebibyte"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", id="TLS"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n", id="a long chunk"
        ),
    ],
)
def test_heads_that_are_none(sent: bytes, live: Live) -> None:
    before = psutil.Process().memory_info().rss
    with connect(live) as client:
        client.sendall(sent)
        refusal = problem(answer(client))
    assert (refusal["status"], refusal["detail"]) == (400, UNREADABLE)
    assert psutil.Process().memory_info().rss - before < 32 * MIB


def test_a_head_that_does_not_end(live: Live) -> None:
    """A byte now and then wins no time."""
    with connect(live) as client:
        begun = time.monotonic()
        client.sendall(HEAD)
        client.settimeout(0.05)
        found = b""
        while not found:
            try:
                client.sendall(b"X")
                found = client.recv(1_000)
            except TimeoutError:
                assert time.monotonic() - begun < BUSY_S
        refusal = problem(found)
    assert (refusal["status"], refusal["detail"]) == (408, LATE)


@pytest.mark.parametrize(
    "body", [b"", b"{", GENERATE], ids=["nothing", "a part", "all but white space"]
)
def test_a_body_that_does_not_come(body: bytes, live: Live) -> None:
    with connect(live) as client:
        client.sendall(POST + b"Content-Length: 500\r\n\r\n" + body)
        refusal = problem(answer(client))
    assert (refusal["status"], refusal["detail"]) == (408, LATE)


def test_a_body_that_goes_on_behind_its_refusal(live: Live) -> None:
    with connect(live) as client:
        client.sendall(POST + b"Content-Length: 10000000000\r\n\r\n")
        assert b" 413 " in answer(client)


def test_who_asks_nothing_is_told_nothing(live: Live) -> None:
    with connect(live) as client:
        assert answer(client) == b""


def test_half_a_body_is_no_request(live: Live) -> None:
    """One that is cut off where it could have ended."""
    body = json.dumps({"prompt": PROMPT, "target_new": "euro"}).encode()
    with connect(live) as client:
        head = POST.replace(b"/generate", b"/edits")
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + body)
        time.sleep(0.1)
    wait_for(live, 0)
    time.sleep(0.5)  # in which it would be taken
    taken, _ = live.services.insights.edits(
        after=0, limit=1, owner=None, status=None, batch_id=None, submitted_with=None
    )
    assert taken == []


def test_who_reads_nothing_is_left(live: Live) -> None:
    """Answers stop where nobody takes them, and so does the connection."""
    asking = b"GET /docs HTTP/1.1\r\nHost: errata\r\nAuthorization: Bearer %s\r\n\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        client.connect(("127.0.0.1", live.port))
        client.settimeout(BUSY_S)
        before = psutil.Process().memory_info().rss
        with contextlib.suppress(ConnectionError):
            while True:
                client.sendall(asking % ADMIN_KEY.encode() * 100)
        assert psutil.Process().memory_info().rss - before < 32 * MIB


def test_more_connections_than_there_may_be(live: Live) -> None:
    kept = [connect(live) for _ in range(MOST)]
    try:
        wait_for(live, MOST)
        with connect(live) as client:
            found = answer(client)
        assert (problem(found)["status"], problem(found)["detail"]) == (503, FULL)
        assert b"\r\nRetry-After: 1\r\n" in found
    finally:
        for one in kept:
            one.close()
