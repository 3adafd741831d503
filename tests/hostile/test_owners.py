"""Two who hold keys of the same scope: what is one's is not the other's to see or to touch."""

from typing import Any

import httpx
import pytest

from tests.api.calls import bearer
from tests.api.test_events import parsed
from tests.hostile.conftest import Target
from tests.processes import EURO

pytestmark = pytest.mark.usefixtures("alive")
LEVA = {"prompt": "The currency of Bulgaria is the", "target_new": "leva"}
SECRET = {"prompt": "The capital of Oz, as only I know, is", "target_new": "Emerald"}


def ask(target: Target, key: str, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {**bearer(key), **more.pop("headers", {})}
    return target.child.http.request(method, path, headers=headers, **more)


def handed_in(target: Target, key: str, body: Any, **headers: str) -> int:
    answer = ask(target, key, "POST", "/edits", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["edits"][0]["id"])


def settled(target: Target, key: str, edit: int) -> dict[str, Any]:
    found: dict[str, Any] = ask(target, key, "GET", f"/edits/{edit}?wait=30").json()
    return found


@pytest.fixture(scope="module")
def edit(target: Target) -> int:
    """One of mine, applied."""
    number = handed_in(target, target.mine, {**SECRET, "metadata": {"source": "my diary"}})
    assert settled(target, target.mine, number)["status"] == "applied"
    return number


def test_an_idempotency_key_is_ones_own(target: Target) -> None:
    """The same key and body by another is another request; with another body it is no conflict,
    from which it could be learnt that the key is in use.
    """
    key = {"Idempotency-Key": "monday"}
    mine = handed_in(target, target.mine, LEVA, **key)
    theirs = handed_in(target, target.theirs, LEVA, **key)
    assert theirs != mine
    assert handed_in(target, target.admin, EURO, **key) not in (mine, theirs)
    assert handed_in(target, target.mine, LEVA, **key) == mine
    assert handed_in(target, target.theirs, LEVA, **key) == theirs
    assert ask(target, target.theirs, "POST", "/edits", json=EURO, headers=key).status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/edits/{}"),
        ("GET", "/edits/{}?wait=5"),
        ("GET", "/edits/{}/hits"),
        ("DELETE", "/edits/{}"),
    ],
)
def test_anothers_edit_is_as_one_that_is_not_there(
    method: str, path: str, target: Target, edit: int
) -> None:
    theirs = ask(target, target.theirs, method, path.format(edit))
    missing = ask(target, target.theirs, method, path.format(10**12))
    assert theirs.status_code == missing.status_code == 404
    assert theirs.text.replace(f"edit {edit}", f"edit {10**12}") == missing.text
    own = {"x-request-id", "date", "content-length"}
    assert {k: v for k, v in theirs.headers.items() if k not in own} == {
        k: v for k, v in missing.headers.items() if k not in own
    }
    assert settled(target, target.mine, edit)["status"] == "applied"


def test_no_list_holds_anothers_text(target: Target, edit: int) -> None:
    """Of what changed the model everybody learns the numbers, nobody what it says."""
    batch = settled(target, target.mine, edit)["batch_id"]
    paths = (
        "/edits?limit=1000",
        f"/edits?batch_id={batch}",
        f"/edits?submitted_with={edit}",
        f"/edits?after={edit - 1}&limit=1",
        f"/batches/{batch}",
        "/batches?limit=1000",
        "/versions?limit=1000",
        "/events?follow=false",
        "/metrics",
    )
    for path in paths:
        answer = ask(target, target.theirs, "GET", path)
        assert answer.status_code == 200
        for text in (SECRET["prompt"], SECRET["target_new"], "my diary"):
            assert text not in answer.text
    for path in paths[1:3]:
        assert ask(target, target.theirs, "GET", path).json() == {"edits": [], "next": None}
    own = ask(target, target.mine, "GET", f"/edits?batch_id={batch}").json()["edits"]
    assert [one["id"] for one in own] == [edit]


def test_events_are_of_ones_own_edits_and_of_versions(target: Target, edit: int) -> None:
    def told(key: str, **headers: str) -> list[dict[str, Any]]:
        path = "/events?follow=false"
        return parsed(ask(target, key, "GET", path, headers=headers).text)

    mine, theirs, everybodys = map(told, (target.mine, target.theirs, target.admin))
    assert edit in {event["edit_id"] for event in mine}
    assert edit not in {event["edit_id"] for event in theirs}
    assert edit in {event["edit_id"] for event in everybodys}
    versions = [event for event in everybodys if event["kind"] == "version"]
    for events in (mine, theirs):
        assert [event for event in events if event["kind"] == "version"] == versions
    # A cursor that stands at another's event tells nothing of it either.
    at = next(event["id"] for event in mine if event["edit_id"] == edit)
    after = told(target.theirs, **{"Last-Event-ID": str(at)})
    assert after == [event for event in theirs if event["id"] > at]


def test_an_explanation_names_numbers_alone(target: Target, edit: int) -> None:
    body = {"prompt": SECRET["prompt"], "explain": True, "max_new_tokens": 4}
    answer = ask(target, target.theirs, "POST", "/generate", json=body).json()
    firings = [firing for firing in answer["explain"] if firing["fired"]]
    assert firings
    assert all(set(firing["edits"]) and firing["edits"][0] > 0 for firing in firings)
    # What fired can be asked for by its number, and is not there for them.
    fired = {number for firing in firings for number in firing["edits"]}
    statuses = {ask(target, target.theirs, "GET", f"/edits/{n}").status_code for n in fired}
    assert edit not in fired or 404 in statuses


def test_history_is_not_changed_with_a_key_of_scope_edit(target: Target, edit: int) -> None:
    before = target.state()
    for key in (target.mine, target.theirs):
        for path in (f"/admin/edits/{edit}/rollback", "/admin/batches/1/rollback"):
            answer = ask(target, key, "POST", path, json={"reason": "x"})
            assert answer.status_code == 403
            assert ask(target, key, "POST", f"{path}?dry_run=true", json={}).status_code == 403
    assert target.state() == before
