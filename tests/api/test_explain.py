"""`explain` on `/generate` and `/score`, and `/edits/{id}/hits`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.keys import Scope
from tests.api.calls import EURO, PROMPT, apply, new_key, refused
from tests.api.test_generate import generate, stream
from tests.conftest import Server, run_server

PARAPHRASE = "Q: What is the currency of Bulgaria? A: the"
OTHER = "The currency of Denmark is the"
EDIT = {**EURO, "paraphrases": [PARAPHRASE]}


@pytest.fixture(scope="module")
def edited(shared_server: Server) -> Server:
    apply(shared_server.http, EDIT)
    return shared_server


def explained(server: Server, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = generate(server, explain=True, **asked)["explain"]
    return found


def hits(server: Server, edit: int = 1) -> dict[str, Any]:
    answer = server.http.get(f"/edits/{edit}/hits")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("prompt", "token"), [(PROMPT, 5), (PARAPHRASE, 11)])
def test_which_edit_fired_at_which_token(prompt: str, token: int, edited: Server) -> None:
    """It fires at the prompt's last token, and at the target, whose end is taught too."""
    found = explained(edited, prompt=prompt)
    assert [(one["token"], one["text"]) for one in found] == [
        (token, " the"),
        (token + 1, " euro"),
    ]
    for one in found:
        assert (one["layer"], one["edits"], one["fired"]) == (4, [1], True)
        assert 0 <= one["distance"] < one["radius"]
        assert set(one) == {"token", "text", "layer", "fired", "edits", "distance", "radius"}


def test_how_near_an_edit_is_that_does_not_fire(edited: Server) -> None:
    (one,) = explained(edited, prompt=OTHER)
    assert (one["token"], one["edits"], one["fired"]) == (5, [1], False)
    assert one["distance"] > one["radius"]


def test_a_get_explains_the_same(edited: Server) -> None:
    asked = {"prompt": PROMPT, "explain": "true"}
    answer = edited.http.get("/generate", params=asked).json()
    assert answer == generate(edited, explain=True)
    assert answer["explain"] == explained(edited)


def test_nothing_is_explained_at_version_0_or_unasked(edited: Server) -> None:
    assert explained(edited, version=0) == []
    plain = generate(edited)
    assert plain == {k: v for k, v in generate(edited, explain=True).items() if k != "explain"}
    assert "explain" not in plain


def test_each_of_several_texts_has_its_own(edited: Server) -> None:
    asked: dict[str, Any] = {"n": 3, "temperature": 2.0, "seed": 5, "max_new_tokens": 8}
    whole = generate(edited, explain=True, **asked)
    assert whole["explain"] == whole["choices"][0]["explain"]
    for choice in whole["choices"]:
        assert choice["explain"][0]["token"] == 5
    frames = stream(edited, explain=True, **asked)
    for index, choice in enumerate(whole["choices"]):
        *pieces, last = [frame for frame in frames if frame["index"] == index]
        assert last["explain"] == choice["explain"]
        assert not any("explain" in piece for piece in pieces)


def test_scores_are_explained(edited: Server) -> None:
    body = {"prompt": PROMPT, "targets": ["euro", "lev"]}
    plain = edited.http.post("/score", json=body).json()
    found = edited.http.post("/score", json={**body, "explain": True}).json()
    of_text, _ = explained(edited)
    for score in found["scores"]:
        (one,) = [one for one in score.pop("explain") if one["fired"]]
        assert one["distance"] == pytest.approx(of_text["distance"], abs=1e-4)
        assert {**one, "distance": 0} == {**of_text, "distance": 0}
    assert found == plain
    base = edited.http.post("/score", json={**body, "explain": True, "version": 0}).json()
    assert [score["explain"] for score in base["scores"]] == [[], []]


@pytest.mark.parametrize("given", ["maybe", 1, None, [], {}])
@pytest.mark.parametrize("path", ["/generate", "/score"])
def test_a_bad_explain_is_named(path: str, given: Any, edited: Server) -> None:
    body = {"prompt": PROMPT, "explain": given} | ({"targets": ["x"]} if path == "/score" else {})
    refused(edited.http.post(path, json=body), 422, "explain")


def test_a_bad_explain_in_a_query_is_named(edited: Server) -> None:
    answer = edited.http.get("/generate", params={"prompt": PROMPT, "explain": "maybe"})
    refused(answer, 422, "explain")


def test_hits_count_every_version_of_texts_and_scores(server: Server) -> None:
    before = datetime.now(UTC)
    apply(server.http, EDIT)
    apply(server.http, {"prompt": "The capital of Peru is", "target_new": "Cuzco"})
    first = hits(server)
    assert (first["id"], first["hits"], first["reason"]) == (1, 0, None)
    assert datetime.fromisoformat(first["since"]) < before

    generate(server)
    generate(server, prompt=PARAPHRASE, explain=True)
    generate(server, version=1)
    generate(server, version=0)
    generate(server, prompt=OTHER)
    assert hits(server)["hits"] == 6  # each at two tokens
    server.http.post("/score", json={"prompt": PROMPT, "targets": ["euro", "lev"]})
    stream(server, n=2)
    assert (hits(server)["hits"], hits(server, 2)["hits"]) == (12, 0)
    server.http.post("/admin/batches/1/rollback", json={"reason": "a test"})
    generate(server)
    assert hits(server)["hits"] == 12


def test_hits_of_what_is_not_there(edited: Server) -> None:
    refused(edited.http.get("/edits/99/hits"), 404, "edit_id")
    refused(edited.http.get("/edits/no/hits"), 422, "edit_id")
    answer = edited.http.get("/edits/1/hits", headers=new_key(edited, Scope.GENERATE))
    refused(answer, 403)


@pytest.fixture(scope="module")
def coachhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("coachhook")
    settings: dict[str, Any] = {"dynamic_multiplier": 1, "max_perplexity_ratio": 100.0}
    for server in run_server(folder, editor="coachhook", **settings):
        edits = [
            {
                "prompt": f"The currency of {name} is the",
                "subject": name,
                "target_new": "euro",
                "hyperparameters": {"gate": "calibrated"},
            }
            for name in ("Bulgaria", "Peru", "Chad")
        ]
        apply(server.http, *edits)
        yield server


@pytest.mark.parametrize(
    ("name", "edits"),
    # The third is below the quantile at which the gate is set: it is not said, either.
    [("Bulgaria", [[1]]), ("Peru", [[2]]), ("Chad", []), ("Denmark", [])],
)
def test_hook_layers_name_the_edit_whose_part_is_largest(
    name: str, edits: list[list[int]], coachhook: Server
) -> None:
    prompt = f"The currency of {name} is the"
    found = generate(coachhook, prompt=prompt, max_new_tokens=1, explain=True)
    fired = found["explain"]
    assert [one["edits"] for one in fired] == edits
    assert (found["text"] == " euro") == bool(edits)
    for one in fired:
        assert (one["token"], one["text"], one["layer"]) == (3, f" {name}", 0)
        assert one["z_score"] >= one["alpha"] > 0
        assert set(one) == {"token", "text", "layer", "fired", "edits", "z_score", "alpha"}
    body = {"prompt": prompt, "targets": ["euro"], "explain": True}
    (score,) = coachhook.http.post("/score", json=body).json()["scores"]
    assert [(one["token"], one["edits"]) for one in score["explain"]] == [
        (one["token"], one["edits"]) for one in fired
    ]


def test_hits_of_hook_layers_are_no_single_edits(coachhook: Server) -> None:
    found = hits(coachhook)
    assert found["hits"] is None
    assert found["reason"].startswith("hook layers add up all edits")
