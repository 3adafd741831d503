"""How much a client may send, and how much may wait."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx2 import Response

from tests.api.calls import EURO, PROMPT, refused, say
from tests.api.conftest import idle_server
from tests.conftest import Server

MIB = 1 << 20
# All that take a body.
PATHS = (
    "/edits",
    "/generate",
    "/score",
    "/compare",
    "/admin/batches/99/rollback",
    "/admin/batches/99/restore",
    "/admin/edits/99/rollback",
    "/admin/rollback",
    "/admin/repair",
    "/v1/completions",
    "/v1/chat/completions",
)
FIELDS = ("metadata", "prompt", "messages", "edits", "reason", "nothing")
JSON = {"Content-Type": "application/json"}


def body_of(size: int) -> bytes:
    """A right body for `/generate` of so many bytes."""
    return json.dumps({"prompt": PROMPT}).encode().ljust(size)


def in_chunks(body: bytes) -> Iterator[bytes]:
    """A generator is sent without a Content-Length."""
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_body_has_at_most_a_mebibyte(chunked: bool, shared_server: Server) -> None:
    def post(size: int, path: str = "/generate") -> Response:
        body = body_of(size)
        content = in_chunks(body) if chunked else body
        return shared_server.http.post(path, content=content, headers=JSON)

    assert post(MIB).json()["text"] == " lev."
    for path in ("/generate", "/edits", "/admin/rollback"):
        answer = post(MIB + 1, path)
        problem = refused(answer, 413)
        assert problem["detail"] == "a body has at most 1048576 bytes"
        assert len(answer.headers["X-Request-ID"]) == 32
    assert say(shared_server.http) == " lev."


@pytest.mark.parametrize("levels", [900, 1_000, 5_000, 50_000])
def test_depth_is_refused_wherever_it_is(levels: int, shared_server: Server) -> None:
    """Around where Python's own parser, Pydantic and what is ours would give up."""
    deep = "[" * levels + "]" * levels
    bodies = (deep, *(f'{{"prompt": "a", "target_new": "b", "{name}": {deep}}}' for name in FIELDS))
    for path in PATHS:
        for body in bodies:
            answer = shared_server.http.post(path, content=body, headers=JSON)
            assert answer.status_code == (400 if path.startswith("/v1") else 422)


@pytest.mark.parametrize(
    ("claim", "status"),
    [("1048577", 413), ("9" * 5_000, 413), ("-1", 200), ("many", 200), ("", 200)],
)
def test_a_claimed_size_is_believed_only_if_it_is_too_large(
    claim: str, status: int, shared_server: Server
) -> None:
    headers = JSON | {"Content-Length": claim}

    answer = shared_server.http.post("/generate", content=body_of(100), headers=headers)

    assert answer.status_code == status


def test_a_request_brings_at_most_a_thousand_edits(idle: Server) -> None:
    accepted = idle.http.post("/edits", json={"edits": [EURO] * 1_000})

    assert accepted.status_code == 202
    assert [edit["id"] for edit in accepted.json()["edits"]] == list(range(1, 1_001))
    assert len(idle.http.get("/edits?limit=1000").json()["edits"]) == 1_000
    refused(idle.http.post("/edits", json={"edits": [EURO] * 1_001}), 422, "edits")
    assert idle.http.get("/edits?after=1000").json() == {"edits": [], "next": None}


def test_a_full_queue_takes_no_more(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k"}
    with idle_server(tmp_path, max_queue_depth=3) as server:
        server.http.post("/edits", json={"edits": [EURO, EURO]}, headers=key)

        answer = server.http.post("/edits", json={"edits": [EURO, EURO]})

        problem = refused(answer, 429)
        assert problem["detail"] == (
            "the queue holds 2 of at most 3 edits, and has no room for these"
        )
        assert answer.headers["Retry-After"] == "5"
        assert server.http.post("/edits", json=EURO).status_code == 202
        refused(server.http.post("/edits", json=EURO), 429)
        assert len(server.http.get("/edits").json()["edits"]) == 3
        # A repeat asks for no room, and an edit that is taken back leaves some.
        again = server.http.post("/edits", json={"edits": [EURO, EURO]}, headers=key)
        assert again.status_code == 202
        server.http.delete("/edits/1")
        assert server.http.post("/edits", json=EURO).json()["edits"][0]["id"] == 4


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose operator set every bound low."""
    with idle_server(
        tmp_path_factory.mktemp("narrow"),
        max_body_bytes=1_024,
        max_prompt_tokens=8,
        max_target_tokens=2,
        max_edits_per_request=2,
        max_new_tokens=4,
    ) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/generate", {"prompt": " the" * 8, "max_new_tokens": 4}, 200, None),
        ("/generate", {"prompt": " the" * 9}, 422, "prompt"),
        ("/generate", {"prompt": "a", "max_new_tokens": 5}, 422, "max_new_tokens"),
        ("/generate", {"prompt": "a" * 1_024}, 413, None),
        ("/score", {"prompt": "a", "targets": [" the the"]}, 200, None),
        ("/score", {"prompt": "a", "targets": [" the the the"]}, 422, "targets[0]"),
        ("/edits", {"prompt": " the" * 8, "target_new": " the the"}, 202, None),
        ("/edits", {"prompt": " the" * 9, "target_new": " the"}, 422, "prompt"),
        ("/edits", {"prompt": "a", "target_new": " the the the"}, 422, "target_new"),
        ("/edits", {"edits": [EURO] * 3}, 422, "edits"),
    ],
)
def test_the_operator_sets_the_bounds(
    path: str, body: dict[str, object], status: int, field: str | None, narrow: Server
) -> None:
    answer = narrow.http.post(path, json=body)

    assert answer.status_code == status
    if status >= 400:
        refused(answer, status, *([field] if field else []))


@pytest.mark.parametrize("path", ["/generate", "/compare"])
def test_what_a_request_leaves_open_keeps_to_a_low_bound(path: str, narrow: Server) -> None:
    answer = narrow.http.post(path, json={"prompt": "In Bulgaria,"}).json()

    assert answer.get("right", answer)["usage"]["completion_tokens"] == 4
