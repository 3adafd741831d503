"""Which key opens which route."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response

from service.domain.keys import Scope
from service.storage.keys import new_secret
from tests.api.calls import EURO, PROMPT, bearer, new_key, openai_error, refused
from tests.conftest import ADMIN_KEY, Server

Call = tuple[str, str, dict[str, Any] | None]  # method, path, body

ASK = {"prompt": PROMPT, "max_new_tokens": 1}
SAID = {"role": "user", "content": PROMPT}
WHY = {"reason": "a wrong source"}
# Calls that change nothing: the routes that would are asked for what is not there.
GENERATE: list[Call] = [
    ("GET", f"/generate?prompt={PROMPT}&max_new_tokens=1", None),
    ("POST", "/generate", ASK),
    ("POST", "/score", {"prompt": PROMPT, "targets": ["x"]}),
    ("POST", "/compare", ASK),
    ("POST", "/v1/completions", {"model": "atlas", "prompt": PROMPT, "max_tokens": 1}),
    ("POST", "/v1/chat/completions", {"model": "none", "messages": [SAID]}),
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/99", None),
    ("GET", "/version", None),
    ("GET", "/metrics", None),
    ("GET", "/docs", None),
    ("GET", "/docs/favicon.png", None),
    ("GET", "/openapi.json", None),
]
EDIT: list[Call] = [
    ("POST", "/edits", {**EURO, "subject": "nowhere in it"}),
    ("GET", "/edits", None),
    ("GET", "/edits/99", None),
    ("GET", "/edits/99/hits", None),
    ("DELETE", "/edits/99", None),
    ("GET", "/batches", None),
    ("GET", "/batches/99", None),
    ("GET", "/versions", None),
    ("GET", "/versions/99", None),
    ("GET", "/events?follow=false", None),
]
ADMIN: list[Call] = [
    ("POST", "/admin/batches/99/rollback", WHY),
    ("POST", "/admin/batches/99/restore", WHY),
    ("POST", "/admin/edits/99/rollback", WHY),
    ("POST", "/admin/rollback", {**WHY, "version": 99}),
    ("POST", "/admin/repair", WHY),
]
WANTED = {Scope.GENERATE: GENERATE, Scope.EDIT: EDIT, Scope.ADMIN: ADMIN}
KEYLESS = {"/health", "/health/live", "/health/ready"}


def name(value: object) -> str:
    """Of a parametrised test: the call's method and path, the scope's own name."""
    return " ".join(value[:2]) if isinstance(value, tuple) else str(value)


def send(server: Server, call: Call, headers: Mapping[str, str]) -> Response:
    method, path, body = call
    return server.http.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize(
    ("wanted", "call"),
    [(scope, call) for scope, calls in WANTED.items() for call in calls],
    ids=name,
)
def test_a_scope_opens_its_routes_and_no_others(
    held: Scope, wanted: Scope, call: Call, shared_server: Server
) -> None:
    answer = send(shared_server, call, new_key(shared_server, held))

    if held.includes(wanted):
        assert answer.status_code in (200, 404, 422)
    else:
        problem = refused(answer, 403)
        assert problem["detail"] == (
            f"this needs a key of scope '{wanted}'; this key's scope is '{held}'"
        )


@pytest.mark.parametrize("call", [*GENERATE, *EDIT, *ADMIN], ids=name)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": ""}, id="none"),
        pytest.param(bearer("errata_wrong"), id="wrong"),
        pytest.param(bearer(ADMIN_KEY.upper()), id="in capitals"),
        pytest.param(bearer(""), id="empty"),
        pytest.param({"Authorization": ADMIN_KEY}, id="no scheme"),
        pytest.param({"Authorization": f"Digest {ADMIN_KEY}"}, id="another scheme"),
    ],
)
def test_without_a_key_nothing_opens(
    headers: dict[str, str], call: Call, shared_server: Server
) -> None:
    answer = send(shared_server, call, headers)

    if call[1].startswith("/v1"):
        assert openai_error(answer, 401)["code"] == "invalid_api_key"
    else:
        refused(answer, 401)
    scheme = "Basic" if "/docs" in call[1] or "openapi" in call[1] else "Bearer"
    assert answer.headers["WWW-Authenticate"].split()[0] == scheme


def test_a_revoked_key_opens_nothing_from_then_on(shared_server: Server) -> None:
    secret = new_secret()
    key = shared_server.services.keys.add("lent", Scope.EDIT, secret)
    assert shared_server.http.get("/edits", headers=bearer(secret)).status_code == 200

    shared_server.services.keys.revoke(key.id, actor="a test")

    refused(shared_server.http.get("/edits", headers=bearer(secret)), 401)


def test_an_expired_key_is_told_what_a_wrong_one_is(shared_server: Server) -> None:
    secret = new_secret()
    shared_server.services.keys.add("lent", Scope.EDIT, secret, expires_at=datetime.now(UTC))

    expired, wrong = (
        shared_server.http.get("/edits", headers=bearer(key)) for key in (secret, "errata_wrong")
    )

    refused(expired, 401)
    varying = {"x-request-id"}
    assert expired.content == wrong.content
    assert {k: v for k, v in expired.headers.items() if k not in varying} == {
        k: v for k, v in wrong.headers.items() if k not in varying
    }


@pytest.mark.parametrize("path", sorted(KEYLESS))
def test_health_needs_no_key(path: str, shared_server: Server) -> None:
    assert shared_server.http.get(path, headers={"Authorization": ""}).status_code == 200


def test_every_route_is_among_these(shared_server: Server) -> None:
    """A route that is added has to say here which key opens it."""
    app = shared_server.http.app
    assert isinstance(app, FastAPI)
    served = {
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path not in KEYLESS
    }

    tried = {
        (method, path.partition("?")[0].replace("/99", "/{}"))
        for calls in WANTED.values()
        for method, path, _ in calls
        if "/docs" not in path and path != "/openapi.json"  # not in the document
    }

    assert {(method, _unnamed(path)) for method, path in served} == tried


def _unnamed(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("path", ["/edits", "/generate", "/admin/rollback"])
def test_the_key_is_looked_at_before_the_body(path: str, shared_server: Server) -> None:
    refused(
        shared_server.http.post(path, json={"no": "such field"}, headers={"Authorization": ""}), 401
    )


def test_the_log_knows_who_did_something(server: Server) -> None:
    editor, admin = new_key(server, Scope.EDIT), new_key(server, Scope.ADMIN)

    server.http.post("/edits", json=EURO, headers=editor)
    edit = server.http.get("/edits/1?wait=30").json()
    change = server.http.post("/admin/rollback", json={**WHY, "version": 0}, headers=admin).json()

    assert (edit["submitted_by"], change["actor"]) == ("key:2", "key:3")
