"""Headers for browsers."""

import base64
import hashlib
import re
from collections.abc import Iterator

import pytest
from httpx2 import Headers

from service.operations.insights import Insights
from tests.api.conftest import idle_server
from tests.conftest import Server

SITE = "https://console.example"
PREFLIGHT = {
    "Origin": SITE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("open")
    with idle_server(folder, cors_origins=f"{SITE}, http://localhost:3000") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/edits", 200),
        ("POST", "/edits", 422),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/nowhere", 404),
        ("DELETE", "/health", 405),
        ("GET", "/versions/0", 200),
    ],
)
def test_every_answer_is_guarded(
    method: str, path: str, status: int, shared_server: Server
) -> None:
    answer = shared_server.http.request(method, path)

    assert answer.status_code == status
    guarded(answer.headers)
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["Cache-Control"] == "no-store"


def guarded(headers: Headers) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_crash_is_guarded_too(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Insights, "versions", crash)
    answer = shared_server.http.get("/versions")
    assert answer.status_code == 500
    guarded(answer.headers)


def test_a_stream_is_guarded_too(shared_server: Server) -> None:
    body = {"prompt": "a", "max_new_tokens": 1, "stream": True}
    answer = shared_server.http.post("/generate", json=body)
    guarded(answer.headers)
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_documentation_runs_its_own_scripts_alone(shared_server: Server) -> None:
    page = shared_server.http.get("/docs")
    (inline,) = re.findall("<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    guarded(page.headers)
    rules = dict(
        rule.strip().split(" ", 1) for rule in page.headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'self' 'sha256-{digest}'"
    assert rules["connect-src"] == "'self'"  # where it reads the document and tries routes


def test_no_site_may_ask_unless_it_is_named(shared_server: Server) -> None:
    assert shared_server.http.options("/edits", headers=PREFLIGHT).status_code == 405
    answer = shared_server.http.get("/edits", headers={"Origin": SITE})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_site_may_ask(open_server: Server) -> None:
    before = open_server.http.options("/edits", headers={**PREFLIGHT, "Authorization": ""})
    assert before.status_code == 200
    assert before.headers["Access-Control-Allow-Origin"] == SITE
    assert "DELETE" in before.headers["Access-Control-Allow-Methods"]
    assert (
        before.headers["Access-Control-Allow-Headers"]
        == PREFLIGHT["Access-Control-Request-Headers"]
    )
    assert "Access-Control-Allow-Credentials" not in before.headers
    guarded(before.headers)

    for key, status in ((None, 200), ("", 401)):
        headers = {"Origin": SITE} if key is None else {"Origin": SITE, "Authorization": key}
        answer = open_server.http.get("/edits", headers=headers)
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == SITE
        assert "X-Errata-Version" in answer.headers["Access-Control-Expose-Headers"]


def test_another_site_may_not(open_server: Server) -> None:
    foreign = {**PREFLIGHT, "Origin": "https://console.example.evil"}
    assert open_server.http.options("/edits", headers=foreign).status_code == 400
    answer = open_server.http.get("/edits", headers={"Origin": "http://console.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
