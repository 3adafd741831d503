"""HTML and scripts in texts: they come back as the text that they are, and no page holds them."""

import httpx
import pytest

from tests.hostile.conftest import Target

pytestmark = pytest.mark.usefixtures("alive")
SCRIPT = "</script><script>alert(document.domain)</script><img src=x onerror=alert(1)> is"
QUOTED = "\"'`><svg/onload=a()>{{7*7}}"


def is_data(answer: httpx.Response) -> None:
    """No browser takes it for a page."""
    assert answer.headers["content-type"].partition(";")[0] in (
        "application/json",
        "application/problem+json",
        "text/event-stream",
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_markup_is_text(target: Target) -> None:
    http = target.child.http
    edit = {"prompt": SCRIPT, "target_new": QUOTED, "metadata": {SCRIPT: QUOTED}}
    taken = http.post("/edits", json=edit)
    number = taken.json()["edits"][0]["id"]
    found = http.get(f"/edits/{number}?wait=60")
    assert {name: found.json()[name] for name in edit} == edit
    assert found.json()["status"] == "applied", found.text
    undo = {"reason": SCRIPT}
    undone = http.post(f"/admin/batches/{found.json()['batch_id']}/rollback", json=undo)
    assert undone.json()["reason"] == SCRIPT
    answers = [
        taken,
        found,
        undone,
        http.get("/edits?limit=1000"),
        http.get("/versions?limit=1000"),
        http.get("/events?follow=false"),
        http.get("/generate", params={"prompt": SCRIPT, "max_new_tokens": 2, "explain": False}),
        http.get("/generate", params={"prompt": SCRIPT, "stream": True, "max_new_tokens": 2}),
        http.post("/compare", json={"prompt": SCRIPT, "max_new_tokens": 2}),
    ]
    for answer in answers:
        assert answer.status_code in (200, 202)
        is_data(answer)


def test_no_error_is_a_page(target: Target) -> None:
    http = target.child.http
    answers = [
        http.get(f"/{SCRIPT}"),
        http.get(f"/edits/{SCRIPT}"),
        http.get(f"/docs/{SCRIPT}"),
        http.get(f"/v1/models/{SCRIPT}"),
        http.get("/edits", params={"status": SCRIPT}),
        http.get("/edits", params={SCRIPT: SCRIPT, "after": SCRIPT}),
        http.post("/edits", json={SCRIPT: 1}),
        http.post("/generate", json={"prompt": "a", SCRIPT: SCRIPT}),
        http.post("/edits", content=SCRIPT),
        http.get("/edits", headers={"Authorization": f"Bearer {SCRIPT}"}),
        http.request("DELETE", "/health", headers={"X-Request-ID": SCRIPT}),
    ]
    for answer in answers:
        assert answer.status_code in (401, 404, 405, 422), answer.text
        is_data(answer)
        assert SCRIPT not in str(answer.headers)


def test_no_page_holds_what_was_sent(target: Target) -> None:
    """The only ones are the documentation's, which are the same for everybody."""
    key = target.child.http.headers["Authorization"]
    plain = target.child.http.get("/docs")
    query = {"url": SCRIPT, "configUrl": SCRIPT}
    asked = target.child.http.get(
        "/docs", params=query, headers={"Authorization": key, "Host": "evil.example"}
    )
    assert asked.content == plain.content
    assert asked.headers["content-type"] == "text/html; charset=utf-8"
    assert "unsafe-eval" not in asked.headers["content-security-policy"]
    document = target.child.http.get("/openapi.json", headers={"Host": "evil.example"})
    assert b"evil" not in document.content
    assert SCRIPT.encode() not in document.content
