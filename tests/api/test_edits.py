"""`/edits`."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from service.domain.keys import Scope
from tests.api.calls import EURO, PROMPT, apply, new_key, refused, say
from tests.conftest import Server

LEVA: dict[str, Any] = {"prompt": "The currency of Romania is the", "target_new": "lev"}


def ids(page: dict[str, Any]) -> list[int]:
    return [edit["id"] for edit in page["edits"]]


def test_an_edit_is_queued_then_applied(server: Server) -> None:
    accepted = server.http.post("/edits", json=EURO)

    assert accepted.status_code == 202
    assert accepted.json() == {"edits": [{"id": 1, "status": "queued"}]}
    assert accepted.headers["Location"] == "/edits/1"
    edit = server.http.get("/edits/1?wait=30").json()
    assert (edit["status"], edit["version"], edit["batch_id"]) == ("applied", 1, 1)
    assert (edit["verified"], edit["note"], edit["error"]) == (True, None, None)
    assert edit["probability_before"] < 0.05
    assert edit["probability_after"] > 0.9
    assert edit["submitted_by"] == "key:1"
    assert say(server.http) == " euro."


def test_many_edits_are_queued_in_one_request(idle: Server) -> None:
    idle.http.post("/edits", json=EURO)

    accepted = idle.http.post("/edits", json={"edits": [EURO, LEVA]})

    assert accepted.status_code == 202
    assert accepted.json() == {
        "edits": [{"id": 2, "status": "queued"}, {"id": 3, "status": "queued"}]
    }
    assert accepted.headers["Location"] == "/edits?submitted_with=2"
    listed = idle.http.get(accepted.headers["Location"]).json()["edits"]
    assert [(edit["id"], edit["prompt"]) for edit in listed] == [(2, PROMPT), (3, LEVA["prompt"])]


def test_a_list_of_one_edit_is_one_edit(idle: Server) -> None:
    assert idle.http.post("/edits", json={"edits": [EURO]}).headers["Location"] == "/edits/1"


def test_every_field_is_kept(idle: Server) -> None:
    sent = {
        "prompt": "日本の通貨は",
        "subject": "日本",
        "target_new": " евро 💶",
        "target_true": "円",
        "paraphrases": ["Japan's currency is the"],
        "neighborhood": ["The currency of Sweden is the"],
        "metadata": {"source": {"page": [1, 2.5, None, True]}, "as text": r"\u0000 \ud800"},
        "editor": "grace",
        "priority": -100,
        "joint": "",
        "continue": True,
        "strict": True,
    }

    idle.http.post("/edits", json=sent)

    kept = idle.http.get("/edits/1").json()
    assert {name: kept[name] for name in sent} == sent


@pytest.mark.parametrize(
    ("subject", "warnings"),
    [
        ("São Tomé", None),
        ("Sa\u0303o Tome\u0301", None),
        ("São Tomé ", ["the subject is looked for without the white space at its edges"]),
        (
            "Tom",
            [
                "the subject does not stand as a whole word in the prompt: its first place is "
                "taken, inside another word at character 2"
            ],
        ),
    ],
)
def test_an_edit_keeps_its_subject_and_tells_what_was_chosen(
    subject: str, warnings: list[str] | None, idle: Server
) -> None:
    body = {**EURO, "prompt": "A Tombola in São Tomé costs a", "subject": subject}
    answer = idle.http.post("/edits", json=body)
    assert answer.json()["edits"][0].get("warnings") == warnings
    kept = idle.http.get("/edits/1").json()
    assert (kept["subject"], kept["warnings"]) == (subject, warnings or [])


def test_a_bad_edit_takes_the_whole_request_with_it(idle: Server) -> None:
    idle.http.post("/edits", json=EURO)
    edits = [
        EURO,
        {**EURO, "subject": "Romania"},
        LEVA,
        {"prompt": " ", "colour": "red"},
        7,
        {**EURO, "editor": "unknown"},
    ]

    problem = refused(
        idle.http.post("/edits", json={"edits": edits, "when": "now"}),
        422,
        "when",
        "edits[1].subject",
        "edits[3].prompt",
        "edits[3].target_new",
        "edits[3].colour",
        "edits[4]",
        "edits[5].editor",
    )

    assert problem["detail"] == (
        "when: unknown field; edits[1].subject: is not a span of the prompt; "
        "edits[3].prompt: must hold more than white space; and 4 more"
    )
    assert ids(idle.http.get("/edits").json()) == [1]


def test_what_the_model_says_already_costs_no_entry(server: Server) -> None:
    (edit,) = apply(server.http, {**EURO, "target_new": "lev"})

    assert (edit["status"], edit["note"]) == ("applied", "already true")
    metrics = server.http.get("/batches/1").json()["metrics"]
    assert (metrics["already_true"], metrics["entries"], metrics["entries_added"]) == (1, 0, 0)


def test_an_edit_tells_what_joined_its_prompt_and_its_target(server: Server) -> None:
    dollars = {"prompt": "The ticket to Sofia costs $", "target_new": "30"}
    asked = {**LEVA, "target_new": "euro", "joint": ""}

    edits = apply(server.http, EURO, dollars, asked)

    assert [(edit["joint"], edit["continue"]) for edit in edits] == [
        (" ", False),
        ("", False),
        ("", False),
    ]
    assert {edit["verified"] for edit in edits} == {True}
    assert say(server.http) == " euro."
    assert say(server.http, dollars["prompt"]).startswith("30")
    assert say(server.http, LEVA["prompt"]).startswith("euro")


def test_of_two_edits_that_contradict_each_other_the_later_wins(server: Server) -> None:
    first, second = apply(server.http, {**EURO, "target_new": "yen"}, EURO)

    assert (first["status"], second["status"]) == ("superseded", "applied")
    assert first["error"] == "edit 2 of the same batch gives this prompt another target"
    assert say(server.http) == " euro."


def test_an_idempotency_key_makes_a_repeat_harmless(idle: Server) -> None:
    key = {"Idempotency-Key": "monday/17"}
    first = idle.http.post("/edits", json={"edits": [EURO, LEVA]}, headers=key)

    again = idle.http.post("/edits", json={"edits": [EURO, LEVA]}, headers=key)

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    refused(idle.http.post("/edits", json=EURO, headers=key), 422, "idempotency-key")
    assert ids(idle.http.get("/edits").json()) == [1, 2]


def test_a_repeat_tells_what_became_of_the_edit(idle: Server) -> None:
    key = {"Idempotency-Key": "k"}
    idle.http.post("/edits", json=EURO, headers=key)
    idle.http.delete("/edits/1")

    again = idle.http.post("/edits", json=EURO, headers=key)

    assert again.json() == {"edits": [{"id": 1, "status": "cancelled"}]}


def test_idempotency_keys_of_two_clients_do_not_meet(idle: Server) -> None:
    key = {"Idempotency-Key": "k"}
    idle.http.post("/edits", json=EURO, headers=key)

    other = idle.http.post("/edits", json=LEVA, headers=key | new_key(idle, Scope.EDIT))

    assert (other.status_code, other.json()["edits"][0]["id"]) == (202, 2)
    assert idle.http.get("/edits/2").json()["submitted_by"] == "key:2"


def test_without_an_idempotency_key_the_same_body_is_two_edits(idle: Server) -> None:
    for expected in (1, 2):
        assert idle.http.post("/edits", json=EURO).json()["edits"][0]["id"] == expected


def test_filters(server: Server) -> None:
    apply(server.http, EURO, LEVA)
    apply(server.http, {**EURO, "target_new": "yen"})
    for query, expected in {
        "status=applied": [1, 2, 3],
        "status=queued": [],
        "batch_id=1": [1, 2],
        "batch_id=2": [3],
        "batch_id=9": [],
        "submitted_with=2": [1, 2],
        "submitted_with=9": [],
        "status=applied&batch_id=1&after=1": [2],
    }.items():
        assert ids(server.http.get(f"/edits?{query}").json()) == expected, query


def test_pages(idle: Server) -> None:
    idle.http.post("/edits", json={"edits": [EURO] * 5})
    for query, page, after_it in (
        ("limit=2", [1, 2], 2),
        ("limit=2&after=2", [3, 4], 4),
        ("limit=2&after=4", [5], None),
        ("limit=5", [1, 2, 3, 4, 5], None),
        ("limit=2&after=3", [4, 5], None),
        ("after=5", [], None),
    ):
        found = idle.http.get(f"/edits?{query}").json()
        assert (ids(found), found["next"]) == (page, after_it), query


def test_waiting_ends_when_the_time_is_up(idle: Server) -> None:
    idle.http.post("/edits", json=EURO)
    began = time.monotonic()

    assert idle.http.get("/edits/1?wait=0.2").json()["status"] == "queued"

    assert 0.2 <= time.monotonic() - began < 5


def test_waiting_ends_when_the_edit_does(idle: Server) -> None:
    idle.http.post("/edits", json=EURO)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(idle.http.get, "/edits/1?wait=60")
        time.sleep(0.1)  # most likely it waits by now; the answer is the same if it does not
        idle.http.delete("/edits/1")
        assert waiting.result(timeout=10).json()["status"] == "cancelled"


def test_a_queued_edit_can_be_taken_back_once(idle: Server) -> None:
    idle.http.post("/edits", json=EURO)

    cancelled = idle.http.delete("/edits/1")

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    problem = refused(idle.http.delete("/edits/1"), 409)
    assert problem["detail"] == "edit 1 is cancelled; only a queued one is cancelled"


def test_an_applied_edit_cannot_be_taken_back(server: Server) -> None:
    apply(server.http, EURO)

    problem = refused(server.http.delete("/edits/1"), 409)

    assert problem["detail"] == "edit 1 is applied; only a queued one is cancelled"
    assert say(server.http) == " euro."


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_edit(method: str, shared_server: Server) -> None:
    refused(shared_server.http.request(method, "/edits/99"), 404, "edit_id")
