"""SQL where values belong: in filters, cursors, headers and names."""

import json
from urllib.parse import quote

import pytest

from tests.hostile.conftest import LEAKS, Target
from tests.processes import errata

INJECTED = [
    "1 OR 1=1",
    "1' OR '1'='1",
    "1; DROP TABLE edits; --",
    "1) UNION SELECT secret_hash FROM api_keys --",
    "1/**/",
    "0x10",
    "'",
    '"',
    "\\",
    "%",
    "1e3",
    "١",  # a digit elsewhere
    "\x00",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]
NUMBERS = [
    "/edits?after={}",
    "/edits?limit={}",
    "/edits?status={}",
    "/edits?batch_id={}",
    "/edits?submitted_with={}",
    "/edits/1?wait={}",
    "/batches?after={}",
    "/batches?limit={}",
    "/versions?after={}",
    "/versions?limit={}",
    "/events?follow=false&after={}",
    "/generate?prompt=a&version={}",
    "/generate?prompt=a&max_new_tokens={}",
]


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("query", NUMBERS)
def test_a_filter_is_a_value(query: str, target: Target) -> None:
    for injected in INJECTED:
        answer = target.child.http.get(query.format(quote(injected)))
        assert answer.status_code == 422, (injected, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["errors"]) == 1
        assert LEAKS.search(answer.content) is None


@pytest.mark.usefixtures("unharmed")
def test_a_cursor_is_a_number(target: Target) -> None:
    for injected in INJECTED:
        header = {b"Last-Event-ID": injected.encode().replace(b"\x00", b"\x01")}
        answer = target.child.http.get("/events?follow=false", headers=header)
        assert answer.status_code == 422, (injected, answer.text)
        assert answer.json()["errors"][0]["field"] == "last-event-id"
        assert LEAKS.search(answer.content) is None


@pytest.mark.usefixtures("unharmed")
def test_a_name_of_a_model_is_text(target: Target) -> None:
    for injected in ("atlas' OR '1'='1", "atlas@0 OR 1=1", "atlas@1;--", "atlas@٠", "atlas@-1"):
        body = {"model": injected, "prompt": "a", "max_tokens": 1}
        for answer in (
            target.child.http.get(f"/v1/models/{quote(injected)}"),
            target.child.http.post("/v1/completions", json=body),
        ):
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "model_not_found"
            assert LEAKS.search(answer.content) is None


@pytest.mark.usefixtures("alive")
def test_texts_and_idempotency_keys_are_stored_as_they_are(target: Target) -> None:
    text = "Robert'); DROP TABLE edits; -- \" \\ % _ {} ${x} :name ? @p $1"
    key = {"Idempotency-Key": "x'||(SELECT/**/1)||';DROP/**/TABLE/**/edits;--%_:a?"}
    body = {
        "prompt": text,
        "subject": "Robert')",
        "target_new": "'; --",
        "target_true": text,
        "paraphrases": [text],
        "neighborhood": [f"{text};"],
        "metadata": {text: [text]},
    }
    first, again = (
        target.child.http.post("/edits", json=body, headers=key).json()["edits"] for _ in range(2)
    )
    assert [edit["id"] for edit in again] == [edit["id"] for edit in first]
    found = target.child.get(f"/edits/{first[0]['id']}", wait=30)
    assert {name: found[name] for name in body} == body
    undo = {"reason": text}
    change = target.child.post(f"/admin/batches/{found['batch_id']}/rollback", undo)
    assert target.child.get(f"/versions/{change['version']}")["reason"] == text


@pytest.mark.usefixtures("unharmed")
def test_a_name_of_a_key_is_text(target: Target) -> None:
    name = "shop'); DROP TABLE api_keys; --"
    data = str(target.child.folder)
    made = errata("keys", "create", "--scope", "generate", "--name", name, ERRATA_DATA_DIR=data)
    assert made.exit_code == 0
    listed = errata("keys", "list", "--json", ERRATA_DATA_DIR=data)
    assert name in [key["name"] for key in json.loads(listed.stdout)["keys"]]
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert target.child.http.get("/version", headers=headers).status_code == 200
