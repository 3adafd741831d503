"""What every error looks like, and the request's id on every answer."""

import logging
from typing import NoReturn

import pytest

from service.errors import StoppingError
from tests.api.calls import EURO, PROMPT, refused
from tests.conftest import Server


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("POST", "/edits/1/2", 404),
        ("GET", "/admin", 404),
        ("PUT", "/edits", 405),
        ("DELETE", "/versions/1", 405),
        ("GET", "/score", 405),
        ("POST", "/health", 405),
    ],
)
def test_what_is_not_served(method: str, path: str, status: int, shared_server: Server) -> None:
    problem = refused(shared_server.http.request(method, path), status)

    assert problem["title"] == {404: "Not Found", 405: "Method Not Allowed"}[status]


@pytest.mark.parametrize("path", ["/health", "/nothing", "/edits/99", "/generate"])
def test_a_request_id_is_echoed(path: str, shared_server: Server) -> None:
    given = "Trace-1.2_" + "x" * 118

    answer = shared_server.http.get(path, headers={"X-Request-ID": given})

    assert answer.headers.get_list("X-Request-ID") == [given]


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "new\tline", "<script>"])
def test_a_bad_request_id_is_replaced(given: str, shared_server: Server) -> None:
    answer = shared_server.http.get("/health", headers={"X-Request-ID": given})

    (made,) = answer.headers.get_list("X-Request-ID")
    assert len(made) == 32
    assert int(made, 16)


def test_request_ids_differ(shared_server: Server) -> None:
    made = {shared_server.http.get("/health").headers["X-Request-ID"] for _ in range(3)}

    assert len(made) == 3


def test_a_crash_keeps_its_reason_to_the_log(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*_: object) -> NoReturn:
        raise RuntimeError("a secret of the model")

    monkeypatch.setattr(shared_server.services.ask, "generate", crash)

    with caplog.at_level(logging.ERROR):
        answer = shared_server.http.post(
            "/generate", json={"prompt": PROMPT}, headers={"X-Request-ID": "crash-1"}
        )

    problem = refused(answer, 500)
    assert problem["detail"] == "the server failed; its log has the reason"
    assert answer.headers.get_list("X-Request-ID") == ["crash-1"]
    assert "a secret of the model" in caplog.text


def test_a_server_that_stops_says_when_to_come_back(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> NoReturn:
        raise StoppingError

    monkeypatch.setattr(shared_server.services.ask, "generate", stop)

    answer = shared_server.http.post("/generate", json={"prompt": PROMPT})

    refused(answer, 503)
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("content_type", "path"),
    [("application/x-www-form-urlencoded", "/generate"), ("text/plain", "/score")],
)
def test_a_body_that_is_not_called_json(
    content_type: str, path: str, shared_server: Server
) -> None:
    problem = refused(
        shared_server.http.post(path, content=b"{}", headers={"Content-Type": content_type}),
        422,
        "body",
    )

    assert problem["detail"] == "body: must be sent as Content-Type: application/json"


def test_edits_are_taken_whatever_they_are_called(idle: Server) -> None:
    """As `curl -d` sends them."""
    accepted = idle.http.post(
        "/edits",
        content=f'{{"prompt": "{EURO["prompt"]}", "target_new": "euro"}}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert accepted.status_code == 202


def test_of_a_crowd_of_faults_a_thousand_are_named(shared_server: Server) -> None:
    body = {"prompt": PROMPT, **{f"unknown_{number}": 0 for number in range(2_000)}}

    problem = shared_server.http.post("/generate", json=body).json()

    assert len(problem["errors"]) == 1_000
    assert problem["detail"].endswith("; and 1997 more")
