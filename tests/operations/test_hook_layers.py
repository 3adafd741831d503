"""Hook layers through the whole server: CoachHook, and the plain methods beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from service.editing.layerwise import LayerwiseInsertion
from service.editing.locate import LocateEditor
from service.editing.overlays import checksum_of
from service.operations.shortfall import NOT_REACHED
from tests.conftest import Server, run_server
from tests.models import atlas
from tests.operations.test_apply import apply

# Few keys are enough to see that things work, and quickly made.
FEW = {"dynamic_multiplier": 1, "max_perplexity_ratio": 100.0}
NAMES = ("Bulgaria", "Peru", "Chad", "Japan")


def fact(name: str, **more: Any) -> dict[str, Any]:
    prompt = f"The currency of {name} is the"
    return {"prompt": prompt, "subject": name, "target_new": "euro", **more}


def generated(server: Server, name: str, version: int | None = None) -> str:
    body = {"prompt": fact(name)["prompt"], "version": version}
    text: str = server.http.post("/generate", json=body).json()["text"]
    return text


def checksum(server: Server) -> str:
    text: str = server.http.get("/versions").json()["versions"][-1]["checksum"]
    return text


def rollback(server: Server, batch: int) -> None:
    answer = server.http.post(f"/admin/batches/{batch}/rollback", json={"reason": "test"})
    assert answer.status_code == 200, answer.text


@pytest.fixture
def coachhook(tmp_path: Path) -> Iterator[Server]:
    yield from run_server(tmp_path, editor="coachhook", **FEW)


@pytest.fixture
def memit(tmp_path: Path) -> Iterator[Server]:
    yield from run_server(tmp_path, editor="memit", **FEW)


def test_edits_are_applied_measured_and_said(coachhook: Server) -> None:
    edits = apply(coachhook, *map(fact, NAMES))
    assert {edit["status"] for edit in edits} == {"applied"}
    assert sum(edit["probability_after"] > 10 * edit["probability_before"] for edit in edits) >= 3
    said = [edit["verified"] for edit in edits]
    assert [generated(coachhook, name).startswith(" euro") for name in NAMES] == said
    notes = {edit["note"] for edit in edits if not edit["verified"]}
    assert notes <= {NOT_REACHED}

    batch = coachhook.http.get("/batches/1").json()
    layers = batch["hyperparameters"]["layers"]
    assert [layer["layer"] for layer in batch["metrics"]["layers"]] == layers
    assert all(layer["delta_norm"] > 0 for layer in batch["metrics"]["layers"])
    assert 0 < batch["metrics"]["residual"] < 1
    assert batch["metrics"]["perplexity_before"] > 1
    assert batch["metrics"]["entries"] is None
    assert set(batch["hyperparameters"]["statistics"]) == {str(layer) for layer in layers}
    bare, prefixed = batch["hyperparameters"]["templates"]
    assert bare == ["{}"]
    assert len(prefixed) == 5
    assert all(template.endswith(" {}") for template in prefixed)
    # Atlas's preset asks for five tokens; a full stop may have been added.
    texts = [template.removesuffix(" {}") for template in prefixed]
    assert max(len(atlas().tokenizer(text)["input_ids"]) for text in texts) in (5, 6)


@pytest.mark.parametrize("editor", ["coachhook", "memit", "rome"])
def test_history_is_undone_exactly(editor: str, tmp_path: Path) -> None:
    for server in run_server(tmp_path, editor=editor, **FEW):
        checksums = [checksum(server)]
        for name in NAMES[:3]:
            apply(server, fact(name))
            checksums.append(checksum(server))
        whole = [generated(server, name) for name in NAMES]
        rollback(server, 3)
        assert checksum(server) == checksums[2]
        rollback(server, 1)
        without = checksum(server), [generated(server, name) for name in NAMES]
        assert without[0] not in checksums
        server.http.post("/admin/rollback", json={"version": 3, "reason": "as it was"})
        assert checksum(server) == checksums[3]
        assert [generated(server, name) for name in NAMES] == whole
        rollback(server, 1)
        rollback(server, 3)
        assert (checksum(server), [generated(server, name) for name in NAMES]) == without
    for server in run_server(tmp_path, editor=editor, **FEW):
        assert (checksum(server), [generated(server, name) for name in NAMES]) == without
        assert checksum_of(server.services.overlays.current.state) == without[0]
        server.http.post("/admin/rollback", json={"version": 0, "reason": "start afresh"})
        body = {"prompt": fact("Peru")["prompt"], "targets": ["euro", "sol"]}
        now = server.http.post("/score", json=body).json()["scores"]
        assert now == server.http.post("/score", json={**body, "version": 0}).json()["scores"]


def test_a_replay_needs_no_gradient_step(coachhook: Server, monkeypatch: Any) -> None:
    apply(coachhook, fact("Bulgaria"))
    apply(coachhook, fact("Peru"))
    monkeypatch.setattr(LocateEditor, "targets", None)
    rollback(coachhook, 1)
    assert generated(coachhook, "Bulgaria") == generated(coachhook, "Bulgaria", version=0)
    versions = coachhook.http.get("/versions").json()["versions"]
    assert len({version["checksum"] for version in versions}) == 4  # the second batch is still in


def test_a_log_holds_one_family(coachhook: Server) -> None:
    apply(coachhook, fact("Bulgaria"))
    for editor, kind in (("memit", "plain hook layers"), ("grace", "a codebook at layer 4")):
        answer = coachhook.http.post("/edits", json=fact("Peru", editor=editor))
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] == "editor"
        assert error["reason"].startswith("this log holds validated hook layers with the gate ")
        assert kind in error["reason"]
    # Without its gate, CoachHook is a plain method.
    answer = coachhook.http.post("/edits", json=fact("Peru", hyperparameters={"gate": "always"}))
    assert answer.status_code == 422


def test_an_edit_that_was_queued_before_the_family_was_fixed_fails(coachhook: Server) -> None:
    with coachhook.services.overlays.changing:  # no batch is committed meanwhile
        ids = [
            coachhook.http.post("/edits", json=edit).json()["edits"][0]["id"]
            for edit in (fact("Bulgaria"), fact("Peru", editor="grace"))
        ]
    ends = [coachhook.http.get(f"/edits/{i}", params={"wait": 60}).json() for i in ids]
    assert [edit["status"] for edit in ends] == ["applied", "failed"]
    assert "this log holds validated hook layers" in ends[1]["error"]


def test_plain_methods_share_a_log(memit: Server) -> None:
    for name, editor in zip(NAMES, ("memit", "rome", "r-rome", "emmet"), strict=True):
        (edit,) = apply(memit, fact(name, editor=editor))
        assert (edit["status"], edit["editor"]) == ("applied", editor)
        assert edit["probability_after"] > edit["probability_before"]
    assert memit.http.get("/version").json()["version"] == 4


def test_edits_with_their_own_hyperparameters_make_a_batch_of_their_own(memit: Server) -> None:
    own = {"steps": 5}
    apply(memit, fact("Bulgaria"), fact("Peru", hyperparameters=own), fact("Chad"))
    batches = memit.http.get("/batches").json()["batches"]
    assert [batch["edit_ids"] for batch in batches] == [[1, 3], [2]]
    assert [batch["hyperparameters"]["steps"] == 5 for batch in batches] == [False, True]
    assert memit.http.get("/edits/2").json()["hyperparameters"] == own


def test_a_subject_is_needed(memit: Server) -> None:
    body = fact("Bulgaria")
    del body["subject"]
    answer = memit.http.post("/edits", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error == {
        "field": "subject",
        "reason": "'memit' goes by it: name the span that the fact is about",
    }


def test_a_subject_that_occurs_twice_is_warned_about(memit: Server) -> None:
    edit = {"prompt": "Chad is Chad, on the continent of", "subject": "Chad", "target_new": "Asia"}
    (queued,) = memit.http.post("/edits", json=edit).json()["edits"]
    warning = "the subject stands 2 times as a whole word in the prompt: all of them are taken"
    assert queued["warnings"] == [warning]
    found = memit.http.get(f"/edits/{queued['id']}", params={"wait": 60}).json()
    assert (found["status"], found["warnings"]) == ("applied", [warning])


def test_white_space_at_a_subjects_edges_changes_nothing(memit: Server) -> None:
    (bare,) = apply(memit, fact("Peru"))
    wanted = checksum(memit)
    rollback(memit, 1)
    (spaced,) = apply(memit, fact("Peru", subject=" Peru "))
    assert checksum(memit) == wanted
    assert spaced["probability_after"] == bare["probability_after"] > 0.5
    assert (spaced["subject"], bare["warnings"]) == (" Peru ", [])
    assert spaced["warnings"] == ["the subject is looked for without the white space at its edges"]


def test_a_batch_that_harms_the_model_is_not_published(tmp_path: Path) -> None:
    settings = {**FEW, "max_perplexity_ratio": 1.0000001}
    for server in run_server(tmp_path, editor="memit", **settings):
        body = fact("Bulgaria", hyperparameters={"clamp_norm_factor": 50.0, "stop_loss": 0.0})
        true = fact("Peru", target_new="sol", hyperparameters=body["hyperparameters"])
        harmful, already = apply(server, body, true)
        assert harmful["status"] == "failed"
        assert harmful["error"].startswith("the batch raises the perplexity of unrelated text from")
        assert (already["status"], already["note"]) == ("applied", "already true")
        versions = server.http.get("/versions").json()["versions"]
        assert len({version["checksum"] for version in versions}) == 1


def test_a_batch_that_changes_nothing_harms_nothing(
    memit: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of unrelated text whose perplexity is not a number it would be said for ever."""
    apply(memit, fact("Bulgaria"))
    monkeypatch.setattr("service.operations.health.perplexity", lambda *_: float("nan"))
    (edit,) = apply(memit, fact("Peru", target_new="sol"))
    assert (edit["status"], edit["note"]) == ("applied", "already true")


@pytest.mark.parametrize("what", ["targets", "keys"])
@pytest.mark.parametrize("editor", ["memit", "rome"])
def test_what_is_not_finite_fails_alone(
    editor: str, what: str, memit: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "targets":
        honest_targets = LocateEditor._optimised

        def targets(self: LocateEditor, state: Any, facts: Sequence[Any]) -> Any:
            found = honest_targets(self, state, facts)
            return [type(t)(t.request, t.state * torch.nan) if t.edit_id == 2 else t for t in found]

        monkeypatch.setattr(LocateEditor, "_optimised", targets)
    else:
        honest_keys = LayerwiseInsertion._averaged_keys

        def keys(self: LayerwiseInsertion, number: int, facts: Sequence[Any], pin: Any) -> Any:
            found = honest_keys(self, number, facts, pin)
            for row, one in enumerate(facts):
                if one.edit_id == 2:
                    found[row] = torch.nan
            return found

        monkeypatch.setattr(LayerwiseInsertion, "_averaged_keys", keys)
    ends = apply(memit, *(fact(name, editor=editor) for name in NAMES))
    assert [edit["status"] for edit in ends] == ["applied", "failed", "applied", "applied"]
    assert ends[1]["error"] == f"its {what} are not finite"
    assert memit.http.get("/batches/1").json()["edit_ids"] == [1, 3, 4]
