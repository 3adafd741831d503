"""What one key may ask for in a minute, and at once."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.domain.keys import Scope
from service.storage.keys import new_secret
from tests.api.calls import EURO, PROMPT, bearer, new_key, openai_error, refused
from tests.api.conftest import idle_server
from tests.conftest import ADMIN_KEY
from tests.live import Live, listening, without_ends
from tests.waiting import until

PER_MINUTE = 3
AT_ONCE = 2
FREE_WITHIN_S = 5.0
LONG: dict[str, Any] = {"prompt": PROMPT, "max_new_tokens": 500, "stream": True}


def test_a_minute_holds_so_many_requests_of_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with idle_server(tmp_path, rate_limit=PER_MINUTE) as server:
        mine, theirs = new_key(server, Scope.EDIT), new_key(server, Scope.EDIT)
        for _ in range(PER_MINUTE):
            assert server.http.get("/edits", headers=mine).status_code == 200

        for path in ("/edits", "/docs"):
            answer = server.http.get(path, headers=mine)
            assert refused(answer, 429)["detail"] == "this key's 3 requests a minute are used up"
            assert 50 < int(answer.headers["Retry-After"]) <= 60
        openai = server.http.get("/v1/models", headers=mine)
        assert openai_error(openai, 429)["code"] == "rate_limit_exceeded"
        assert openai.headers["Retry-After"]
        refused(server.http.get("/versions", headers=bearer("errata_wrong")), 401)

        assert server.http.get("/edits", headers=theirs).status_code == 200
        for path in ("/health", "/health/ready"):
            assert server.http.get(path, headers=mine).status_code != 429
        passed = time.time() + 61
        monkeypatch.setattr(time, "time", lambda: passed)
        assert server.http.get("/edits", headers=mine).status_code == 200


def test_a_rotated_key_has_no_second_minute(tmp_path: Path) -> None:
    with idle_server(tmp_path, rate_limit=1) as server:
        first, second = new_secret(), new_secret()
        key = server.services.keys.add("shop", Scope.EDIT, first)
        hour = timedelta(hours=1)
        server.services.keys.rotate(key.id, second, grace=hour, lifetime=None, actor="a test")
        assert server.http.get("/edits", headers=bearer(first)).status_code == 200
        refused(server.http.get("/edits", headers=bearer(second)), 429)


def test_refused_requests_hold_no_place(tmp_path: Path) -> None:
    with idle_server(tmp_path, max_concurrent_per_key=1) as server:
        for _ in range(3):
            assert server.http.post("/edits", json={**EURO, "subject": "none"}).status_code == 422
            refused(server.http.get("/edits/99"), 404, "edit_id")
            refused(server.http.get("/versions", headers=new_key(server, Scope.GENERATE)), 403)
        assert server.http.get("/edits").status_code == 200


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("limited")
    with listening(folder, max_concurrent_per_key=AT_ONCE, role="api") as live:
        yield live


@pytest.fixture
def http(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers=bearer(ADMIN_KEY), trust_env=False) as client:
        yield client


def wait_until_free(live: Live) -> None:
    """No request of any key is under way."""
    until(lambda: not live.services.limits._at_work.total(), FREE_WITHIN_S)


def test_a_stream_counts_until_it_ends(
    live: Live, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ends(live, monkeypatch)
    with contextlib.ExitStack() as stack:
        for _ in range(AT_ONCE):
            answer = stack.enter_context(http.stream("POST", "/generate", json=LONG))
            assert answer.status_code == 200
        refusal = http.get("/versions")
        assert refusal.status_code == 429
        assert refusal.json()["detail"] == (
            "2 requests of this key are being answered, and no more are taken"
        )
        assert refusal.headers["Retry-After"] == "1"
        another = new_secret()
        live.services.keys.add("another", Scope.EDIT, another)
        assert http.get("/versions", headers=bearer(another)).status_code == 200
    # Both clients have left.
    wait_until_free(live)
    assert http.get("/versions").status_code == 200


def test_a_stream_that_ends_frees_its_place(live: Live, http: httpx.Client) -> None:
    for _ in range(2 * AT_ONCE):
        answer = http.post("/generate", json={**LONG, "max_new_tokens": 2})
        assert answer.status_code == 200
        assert answer.text.startswith("data: ")
        wait_until_free(live)


def test_who_leaves_a_long_poll_frees_its_place(live: Live, http: httpx.Client) -> None:
    edit = http.post("/edits", json=EURO).json()["edits"][0]["id"]  # which nobody applies
    with pytest.raises(httpx.ReadTimeout):
        http.get(f"/edits/{edit}", params={"wait": 60}, timeout=0.3)
    wait_until_free(live)
