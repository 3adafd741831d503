"""`/health`, `/version`."""

from typing import NoReturn

import pytest
from sqlalchemy.exc import OperationalError

from service import __version__
from tests.api.calls import EURO, apply
from tests.conftest import Server
from tests.templates import CHATML


@pytest.mark.parametrize("route", ["/health", "/health/live"])
def test_health(shared_server: Server, route: str) -> None:
    assert shared_server.http.get(route).json() == {"status": "ok"}


def test_a_server_at_work_is_ready(shared_server: Server) -> None:
    answer = shared_server.http.get("/health/ready")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


def test_without_its_worker_it_is_not_ready(idle: Server) -> None:
    answer = idle.http.get("/health/ready")

    assert answer.status_code == 503
    assert not answer.json()["ready"]
    assert "the worker is not running" in answer.json()["reasons"]
    assert idle.http.get("/health").status_code == 200


def test_without_its_database_it_is_not_ready(
    shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_number: int) -> NoReturn:
        raise OperationalError("SELECT", {}, Exception("the connection is closed"))

    monkeypatch.setattr(shared_server.services.insights, "version", lost)

    answer = shared_server.http.get("/health/ready")

    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the database does not answer"]


def test_what_serves_here(server: Server) -> None:
    about = server.http.get("/version").json()

    assert about == {
        "errata": __version__,
        "model": "atlas",
        "fingerprint": server.services.engine.loaded.fingerprint,
        "editor": "grace",
        "max_batch": 32,
        "version": 0,
        "chats": False,
        "system_messages": False,
    }
    apply(server.http, EURO)
    assert server.http.get("/version").json() == {**about, "version": 1}


@pytest.mark.parametrize(
    ("template", "takes"),
    [
        (CHATML, True),
        ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}a", False),
    ],
)
def test_what_its_chats_may_hold(
    template: str, takes: bool, shared_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = shared_server.services.engine.loaded.tokenizer
    monkeypatch.setattr(tokenizer, "chat_template", template)
    about = shared_server.http.get("/version").json()
    assert (about["chats"], about["system_messages"]) == (True, takes)
