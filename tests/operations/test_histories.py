"""Random histories: whatever is applied, rolled back and restored, the state is a replay's."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.editing.codebook import Target
from service.editing.editor import AnyEditor
from service.editing.overlays import Overlay, checksum_of
from service.editing.requests import FactTarget
from service.engine.scoring import next_tokens
from service.operations.editors import Editors
from tests.conftest import Server, run_server
from tests.operations.reference_replay import state_of
from tests.operations.test_apply import apply

STEPS = 12
COUNTRIES = ("Bulgaria", "Romania", "Peru", "Chad")
# With a radius in which entries meet: they widen, split and overwrite each other.
PROMPTS = [
    text.format(name)
    for name in COUNTRIES
    for text in ("The currency of {} is the", "The currency of {} is now the")
]
EDITORS: dict[str, dict[str, Any]] = {
    "grace": {"radius": 3.0},
    "coachhook": {"clamp_norm_factor": 2.0},
}
HISTORIES = {"grace": 10, "coachhook": 2}  # `make crash` runs more
WHY = {"reason": "a test"}


@pytest.fixture(params=EDITORS)
def quick(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server that optimises each target once: a history is about what becomes of them."""
    honest = Editors.editor
    known: dict[Any, Any] = {}

    def editor(self: Editors, name: str, given: Any) -> AnyEditor:
        found = honest(self, name, given)
        monkeypatch.setattr(found, "targets", _remembered(found.targets, known))
        return found

    monkeypatch.setattr(Editors, "editor", editor)
    few = {"dynamic_multiplier": 1, "max_perplexity_ratio": 1e9}
    yield from run_server(tmp_path, editor=request.param, linger_ms=0, **few)


def _remembered(targets: Callable[..., Any], known: dict[Any, Any]) -> Callable[..., Any]:
    def found(state: Any, requests: Sequence[Any]) -> Any:
        keys = [request.phrasings for request in requests]
        fresh = [r for r, key in zip(requests, keys, strict=True) if key not in known]
        if fresh:
            made, errors = targets(state, fresh)
            assert not errors
            by_id = {target.edit_id: target for target in made}
            known.update({r.phrasings: by_id[r.edit_id] for r in fresh})
        return [_for(known[key], r) for r, key in zip(requests, keys, strict=True)], []

    return found


def _for(target: Any, request: Any) -> Any:
    """What was found for one edit, for another one that asks for the same."""
    if isinstance(target, Target):
        return replace(target, edit_id=request.edit_id)
    return FactTarget(request.fact, target.state)


class Histories(RuleBasedStateMachine):
    """The log as a list of batches, each without some of its edits; the server must agree."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.edits_of: dict[int, list[int]] = {}
        self.active: dict[int, set[int]] = {}  # what each active batch lacks, in the log's order
        self.then: list[dict[int, set[int]]] = []  # at each version of this history
        self.first = 0  # of these versions

    @initialize()
    def begin(self) -> None:
        self._post("rollback", version=0)
        self.first = int(self.server.http.get("/version").json()["version"])
        self._note()

    @rule(
        asked=st.lists(
            st.tuples(st.sampled_from(PROMPTS), st.sampled_from(["euro", "yen", "dollar"])),
            min_size=1,
            max_size=3,
            unique_by=lambda pair: pair[0],
        )
    )
    def apply(self, asked: list[tuple[str, str]]) -> None:
        name = self.server.services.settings.editor
        edits = [
            {
                "prompt": prompt,
                "subject": next(country for country in COUNTRIES if country in prompt),
                "target_new": target,
                "hyperparameters": EDITORS[name],
            }
            for prompt, target in asked
        ]
        done = [edit for edit in apply(self.server, *edits) if edit["status"] == "applied"]
        for edit in done:  # a claim may take them in two
            self.edits_of.setdefault(edit["batch_id"], []).append(edit["id"])
        for batch in sorted({edit["batch_id"] for edit in done}):
            self.active[batch] = set()
            self._note()

    @precondition(lambda self: self.edits_of)
    @rule(data=st.data())
    def roll_a_batch_back(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(sorted(self.edits_of)))
        self._post(f"batches/{batch}/rollback")
        if self.active.pop(batch, None) is not None:
            self._note()

    @precondition(lambda self: self.edits_of)
    @rule(data=st.data())
    def restore_a_batch(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(sorted(self.edits_of)))
        self._post(f"batches/{batch}/restore")
        if self.active.get(batch) != set():
            self.active[batch] = set()  # in its place, or at the end
            self._note()

    @precondition(lambda self: self.edits_of)
    @rule(data=st.data())
    def roll_an_edit_back(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(sorted(self.edits_of)))
        edit = data.draw(st.sampled_from(self.edits_of[batch]))
        self._post(f"edits/{edit}/rollback")
        if batch in self.active and edit not in self.active[batch]:
            self.active[batch] |= {edit}
            if self.active[batch] == set(self.edits_of[batch]):
                del self.active[batch]
            self._note()

    @rule(data=st.data())
    def roll_back_to_a_version(self, data: st.DataObject) -> None:
        back = data.draw(st.integers(0, len(self.then) - 1))
        self._post("rollback", version=self.first + back)
        if list(self.then[back].items()) != list(self.active.items()):
            self.active = {batch: set(lacks) for batch, lacks in self.then[back].items()}
            self._note()

    @invariant()
    def the_state_is_a_replays(self) -> None:
        if not self.then:
            return
        last = self.server.http.get("/versions", params={"after": self._last - 1}).json()
        (version,) = last["versions"]
        assert version["checksum"] == checksum_of(self._replayed())
        assert self.server.http.get("/version").json()["version"] == self._last

    def teardown(self) -> None:
        """What the server says is what the replayed state says."""
        if not self.then:
            return
        engine = self.server.services.engine
        prompts = [engine.prompt_tokens(prompt) for prompt in PROMPTS]
        tokens = next_tokens(engine.loaded.model, engine.place(self._replayed()), prompts)
        for prompt, token in zip(PROMPTS, tokens, strict=True):
            body = {"prompt": prompt, "max_new_tokens": 1}
            said = self.server.http.post("/generate", json=body).json()["text"]
            assert said == engine.token_text(token)

    def _replayed(self) -> Overlay | None:
        lacking = [edit for lacks in self.active.values() for edit in lacks]
        return state_of(self.server, self.active, lacking)

    @property
    def _last(self) -> int:
        return self.first + len(self.then) - 1

    def _note(self) -> None:
        self.then.append({batch: set(lacks) for batch, lacks in self.active.items()})

    def _post(self, path: str, **asked: Any) -> None:
        answer = self.server.http.post(f"/admin/{path}", json=WHY | asked)
        assert answer.status_code == 200, answer.text


def test_every_history_is_a_replays(quick: Server) -> None:
    editor = quick.services.settings.editor

    class OnThisServer(Histories):
        server = quick

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=int(os.environ.get("ERRATA_HISTORIES", HISTORIES[editor])),
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
