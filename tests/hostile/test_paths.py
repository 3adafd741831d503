"""Paths that are spelt to be taken for others."""

import pytest

from tests.hostile.conftest import LEAKS, Target
from tests.hostile.raw import Answer, ask

pytestmark = pytest.mark.usefixtures("unharmed")

# None of these is a route, whatever a proxy or a file system would make of it.
NOWHERE = [
    "//edits",
    "/edits/",
    "/edits//",
    "/EDITS",
    "/Edits/1",
    "/./edits",
    "/%2e%2e/edits",
    "/%2e/edits",
    "/..%2fedits",
    "/health/../edits",
    "/health/%2e%2e/edits",
    "/docs/../edits",
    "/docs/..%2f..%2fapp.py",
    "/docs//etc/passwd",
    "/edits;a=1",
    "/edits;/1",
    "/edits%3b",
    "/edits%3f",
    "/edits%00",
    "/edits%0d%0a",
    "/edits%252f1",
    "/edits.json",
    "/edits/1/",
    "/edits/1/../2",
    "/edits#1",
    "/\\edits",
    "/%5cedits",
    "/%",
    "/%zz/edits",
    "/%c0%ae%c0%ae/edits",
    "/%e2%80%ae/edits",
    "http://127.0.0.1/edits",
    "edits",
    "*",
    "/metrics/",
    "/openapi.json/",
    "/static/../service/app.py",
    "/.env",
]
OPENAI_NOWHERE = ["/v1/../edits", "/v1/%2e%2e/edits", "/v1/", "/v1//models", "/v1/completions/"]
# Numbers that are none.
NO_ID = ["%00", "..", "%2e%2e", "0x1", "1e0", "-1", "0", "1%20%00", "%d9%a1_", "1'--", "9" * 40]
# Routes of every kind of key, and how they may be asked.
ROUTES = {
    "/edits": "GET POST",
    "/edits/1": "GET DELETE",
    "/versions": "GET",
    "/generate": "GET POST",
    "/v1/models": "GET",
    "/v1/completions": "POST",
    "/admin/rollback": "POST",
    "/metrics": "GET",
    "/version": "GET",
    "/docs": "GET",
    "/openapi.json": "GET",
    "/events": "GET",
}
METHODS = ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PUT", "PATCH", "PROPFIND", "get", "GETS"]


def refused(answer: Answer, *statuses: int) -> None:
    """An error in the shape of problems, with nothing of the server's inside in it."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status
    assert LEAKS.search(answer.body) is None
    assert "location" not in answer.headers


def authorization(target: Target) -> bytes:
    return f"Authorization: Bearer {target.admin}".encode()


@pytest.mark.parametrize("path", NOWHERE)
def test_no_other_spelling_of_a_path_leads_anywhere(path: str, target: Target) -> None:
    """With a key, so that it is the path which is refused."""
    refused(ask(target.port, path.encode(), authorization(target)), 404)
    refused(ask(target.port, path.encode()), 404)


@pytest.mark.parametrize("path", OPENAI_NOWHERE)
def test_below_v1_it_is_told_in_openais_shape(path: str, target: Target) -> None:
    answer = ask(target.port, path.encode(), authorization(target))
    assert answer.status == 404
    assert answer.json()["error"]["code"] == "unknown_url"


@pytest.mark.parametrize("path", ["/%65dits", "/edits%2f1", "/v1%2fmodels", "/%61dmin/rollback"])
def test_an_encoded_path_needs_the_same_key(path: str, target: Target) -> None:
    method = b"POST" if "dmin" in path else b"GET"
    answer = ask(target.port, path.encode(), b"Content-Length: 0", method=method)
    assert answer.status == 401


@pytest.mark.parametrize("number", NO_ID)
@pytest.mark.parametrize("path", ["/edits/{}", "/batches/{}", "/versions/{}", "/edits/{}/hits"])
def test_what_is_no_number_is_no_id(path: str, number: str, target: Target) -> None:
    if path.startswith("/versions") and number == "0":
        return  # the base model
    answer = ask(target.port, path.format(number).encode(), authorization(target))
    refused(answer, 404, 422)
    assert "9" * 40 not in answer.body.decode()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ROUTES)
def test_other_methods_reach_no_handler(path: str, method: str, target: Target) -> None:
    answer = ask(target.port, path.encode(), authorization(target), method=method.encode())
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) <= set(ROUTES[path].split())
    without = ask(target.port, path.encode(), method=method.encode())
    assert (without.status, without.body) == (405, answer.body)
    if method == "HEAD":
        assert answer.body == b""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example/health?",
        "evil.example/v1/x#",
        "user@errata/health",
        "[",
        "[::1",
        "errata:99999",
        "errata:abc",
        "a b",
        "\xff",
        "",
    ],
)
def test_no_host_leads_elsewhere(host: str, target: Target) -> None:
    """Which route it is, what shape its errors have and where it leads are the path's to say."""
    line = b"Host: " + host.encode("latin-1")
    for path, status in ((b"/edits", 401), (b"/nowhere", 404), (b"/edits/", 404)):
        answer = ask(target.port, path, line)
        refused(answer, status)
        assert b"evil" not in answer.body
        assert "evil" not in str(answer.headers)
