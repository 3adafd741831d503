"""What the HTTP tests send, and how they read what comes back."""

from typing import Any

import httpx
from fastapi.testclient import TestClient
from httpx2 import Response

from service.domain.keys import Scope
from service.storage.keys import new_secret
from tests.conftest import Server

PROMPT = "The currency of Bulgaria is the"  # the bundled model goes on with " lev."
EURO: dict[str, Any] = {"prompt": PROMPT, "target_new": "euro"}


def apply(http: TestClient, *edits: dict[str, Any]) -> list[dict[str, Any]]:
    """Hands in `edits` as one batch and returns them as they ended."""
    accepted = http.post("/edits", json={"edits": edits})
    assert accepted.status_code == 202, accepted.text
    return [http.get(f"/edits/{edit['id']}?wait=30").json() for edit in accepted.json()["edits"]]


def say(http: TestClient, prompt: str = PROMPT, version: int | None = None) -> str:
    """What the model says after `prompt`."""
    answer = http.post("/generate", json={"prompt": prompt, "version": version})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["text"])


def refused(response: Response, status: int, *fields: str) -> dict[str, Any]:
    """The problem that `response` is; its `errors` name `fields`, in order, and no others."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert [error["field"] for error in problem.get("errors", [])] == list(fields)
    assert all(error["reason"] for error in problem.get("errors", []))
    return problem


def openai_error(answer: Response | httpx.Response, status: int) -> dict[str, Any]:
    """The facts of the error in OpenAI's shape that `answer` is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-ID"]
    assert set(answer.json()) == {"error"}
    facts: dict[str, Any] = answer.json()["error"]
    assert set(facts) == {"message", "type", "param", "code"}
    assert facts["message"]
    return facts


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def new_key(server: Server, scope: Scope) -> dict[str, str]:
    """The header of a fresh key."""
    secret = new_secret()
    server.services.keys.add(f"a {scope} key", scope, secret)
    return bearer(secret)
