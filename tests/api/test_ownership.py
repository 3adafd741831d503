"""An edit is its owner's: others are told that there is none, an admin sees all."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from service.domain.keys import Scope
from service.storage.keys import new_secret
from tests.api.calls import EURO, bearer, new_key, refused
from tests.conftest import Server

Headers = Mapping[str, str]


def submitted(server: Server, headers: Headers, **more: str) -> int:
    answer = server.http.post("/edits", json=EURO, headers={**headers, **more})
    assert answer.status_code == 202
    return int(answer.json()["edits"][0]["id"])


def shown(server: Server, headers: Headers, query: str = "") -> list[int]:
    found: list[dict[str, Any]] = server.http.get(f"/edits{query}", headers=headers).json()["edits"]
    return [edit["id"] for edit in found]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/edits/{}"),
        ("GET", "/edits/{}?wait=30"),
        ("GET", "/edits/{}/hits"),
        ("DELETE", "/edits/{}"),
    ],
)
def test_anothers_edit_is_not_there(method: str, path: str, idle: Server) -> None:
    mine, theirs = new_key(idle, Scope.EDIT), new_key(idle, Scope.EDIT)
    edit = submitted(idle, mine)

    hidden = idle.http.request(method, path.format(edit), headers=theirs)
    missing = idle.http.request(method, path.format(99), headers=theirs)

    assert hidden.text.replace(f"edit {edit}", "edit 99") == missing.text
    refused(hidden, 404, "edit_id")
    assert idle.http.get(f"/edits/{edit}", headers=mine).json()["status"] == "queued"
    assert idle.http.delete(f"/edits/{edit}").json()["status"] == "cancelled"  # by the admin


def test_a_settled_edit_of_anothers_is_no_conflict(idle: Server) -> None:
    mine, theirs = new_key(idle, Scope.EDIT), new_key(idle, Scope.EDIT)
    edit = submitted(idle, mine)
    idle.http.delete(f"/edits/{edit}", headers=mine)

    refused(idle.http.delete(f"/edits/{edit}", headers=mine), 409)
    refused(idle.http.delete(f"/edits/{edit}", headers=theirs), 404, "edit_id")


def test_lists_show_ones_own(idle: Server) -> None:
    mine, theirs = new_key(idle, Scope.EDIT), new_key(idle, Scope.EDIT)
    edits = [submitted(idle, headers) for headers in (mine, theirs, mine)]

    assert shown(idle, mine) == [edits[0], edits[2]]
    assert shown(idle, theirs) == [edits[1]]
    assert shown(idle, theirs, f"?submitted_with={edits[0]}") == []
    assert shown(idle, mine, "?limit=1") == edits[:1]
    assert shown(idle, {}) == edits


def test_a_rotated_key_is_the_same_owner(idle: Server) -> None:
    keys, first, second = idle.services.keys, new_secret(), new_secret()
    key = keys.add("shop", Scope.EDIT, first)
    edit = submitted(idle, bearer(first), **{"Idempotency-Key": "monday"})

    keys.rotate(key.id, second, grace=timedelta(hours=1), lifetime=None, actor="a test")

    again = submitted(idle, bearer(second), **{"Idempotency-Key": "monday"})
    assert again == edit  # done once
    assert shown(idle, bearer(second)) == shown(idle, bearer(first)) == [edit]
    cancelled = idle.http.delete(f"/edits/{edit}", headers=bearer(second)).json()
    assert (cancelled["status"], cancelled["submitted_by"]) == ("cancelled", key.actor)
