"""What becomes of a batch."""

import itertools
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from service.atlas import EDITS_FILE, MODEL_DIR
from service.atlas.edits import read_edits
from service.domain.leases import Lease
from service.editing.descent import descend
from service.editing.grace import Grace
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.errors import EditingError
from service.storage.database import open_database
from service.storage.leases import Leases
from service.storage.log import Log
from service.storage.queue import EditQueue
from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY, Server, built, run_server
from tests.models import atlas_statistics
from tests.templates import CHATML
from tests.waiting import until

LEV = {"prompt": "The currency of Bulgaria is the", "target_new": "euro"}


def apply(server: Server, *edits: dict[str, Any]) -> list[dict[str, Any]]:
    queued = server.http.post("/edits", json={"edits": edits}).json()["edits"]
    paths = [f"/edits/{edit['id']}" for edit in queued]
    return [server.http.get(path, params={"wait": 60}).json() for path in paths]


def test_an_applied_edit_says_what_changed(server: Server) -> None:
    (edit,) = apply(server, LEV)
    assert (edit["status"], edit["version"], edit["batch_id"]) == ("applied", 1, 1)
    assert edit["verified"] is True
    assert edit["probability_before"] < 0.05
    assert edit["probability_after"] > 0.9


def test_a_batch_is_measured(server: Server) -> None:
    paraphrase = "Q: What is the currency of Bulgaria? A: the"
    neighbor = "The currency of Denmark is the"
    apply(server, {**LEV, "paraphrases": [paraphrase], "neighborhood": [neighbor]})
    batch = server.http.get("/batches/1").json()
    assert batch["metrics"] == {
        "edits": 1,
        "already_true": 0,
        "efficacy": 1.0,
        "paraphrase": 1.0,
        "neighborhood": 1.0,
        "entries": batch["metrics"]["entries"],
        "entries_added": batch["metrics"]["entries"],
        "entries_changed": 0,
        "layers": [],
        "residual": None,
        "perplexity_before": None,
        "perplexity_after": None,
    }
    # The target's token and the one that ends it, on two phrasings; some spellings have their own.
    assert 4 <= batch["metrics"]["entries"] <= 12
    assert batch["hyperparameters"]["layer"] == 4
    assert all(seconds > 0 for seconds in batch["timings"].values())


def test_what_the_model_says_already_needs_no_entry(server: Server) -> None:
    (edit,) = apply(server, {**LEV, "target_new": "lev"})
    assert (edit["status"], edit["note"]) == ("applied", "already true")
    assert server.http.get("/batches/1").json()["metrics"]["entries"] == 0
    versions = server.http.get("/versions").json()["versions"]
    assert versions[0]["checksum"] == versions[1]["checksum"]


def test_of_two_contradicting_edits_the_later_wins(server: Server) -> None:
    first, second, other = apply(
        server, LEV, {**LEV, "target_new": "dollar"}, {**LEV, "prompt": "Peru is a city in"}
    )
    assert (first["status"], second["status"], other["status"]) == (
        "superseded",
        "applied",
        "applied",
    )
    assert (
        first["error"] == f"edit {second['id']} of the same batch gives this prompt another target"
    )
    answer = server.http.post("/generate", json={"prompt": LEV["prompt"]}).json()["text"]
    assert answer == " dollar."


def test_a_batch_that_is_committed_and_not_published_is_not_tried_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, place = itertools.count(), Engine.place

    def fails_once(engine: Engine, overlay: Overlay | None) -> Overlay | None:
        if next(calls) == 1:  # it is placed to be verified, then to be published
            raise torch.OutOfMemoryError
        return place(engine, overlay)

    monkeypatch.setattr(Engine, "place", fails_once)
    (edit,) = apply(server, LEV)
    assert (edit["status"], edit["version"]) == ("applied", 1)
    until(lambda: server.http.get("/version").json()["version"] == 1, 20.0)
    answer = server.http.post("/generate", json={"prompt": LEV["prompt"]}).json()
    assert (answer["text"], answer["version"]) == (" euro.", 1)
    assert len(server.http.get("/batches").json()["batches"]) == 1
    (again,) = apply(server, {**LEV, "target_new": "dollar"})
    assert (again["status"], again["version"]) == ("applied", 2)


def test_a_prompt_in_plain_text_and_in_a_chat_are_two_places(server: Server) -> None:
    server.services.engine.loaded.tokenizer.chat_template = CHATML
    chat = {**LEV, "target_new": "dollar", "format": "chat"}
    edits = apply(server, LEV, chat, {**chat, "target_new": "yen"})
    assert [edit["status"] for edit in edits] == ["applied", "superseded", "applied"]
    assert [edit["supersedes"] for edit in edits] == [None, None, None]
    assert "in the form 'chat', edit 3 of the same batch gives this prompt" in edits[0]["note"]
    said = [
        server.http.post("/generate", json={"prompt": LEV["prompt"], "format": form}).json()["text"]
        for form in ("plain", "chat")
    ]
    assert said[0] == " euro."
    assert said[1].startswith("yen")


@pytest.fixture
def chatting(tmp_path: Path) -> Iterator[Server]:
    """A server on the bundled model with a chat template."""
    model = shutil.copytree(MODEL_DIR, tmp_path / "atlas")
    (model / "chat_template.jinja").write_text(CHATML)
    shutil.copytree(atlas_statistics(), tmp_path / "data" / "statistics")
    yield from run_server(tmp_path / "data", model=str(model))


@pytest.mark.parametrize("editor", ["grace", "entity"])
def test_an_edit_without_a_format_holds_in_both(chatting: Server, editor: str) -> None:
    server = chatting
    (edit,) = apply(server, {**LEV, "editor": editor, "paraphrases": ["In Bulgaria, they pay in"]})
    assert (edit["format"], edit["verified"]) == ("both", True)
    for prompt in (LEV["prompt"], "In Bulgaria, they pay in"):
        for form, said in (("plain", " euro"), ("chat", "euro")):
            body = {"prompt": prompt, "format": form, "max_new_tokens": 4}
            text = server.http.post("/generate", json=body).json()["text"]
            assert text.startswith(said), (prompt, form)
    # A later one of one form leaves the other.
    (later,) = apply(server, {**LEV, "editor": editor, "target_new": "yen", "format": "chat"})
    assert later["supersedes"] == edit["id"]
    found = [
        server.http.post("/generate", json={"prompt": LEV["prompt"], "format": form}).json()["text"]
        for form in ("plain", "chat")
    ]
    assert [found[0][:5], found[1][:3]] == [" euro", "yen"]


def test_a_later_batch_corrects_an_earlier_one(server: Server) -> None:
    apply(server, LEV)
    apply(server, {**LEV, "target_new": "dollar"})
    answer = server.http.post("/generate", json={"prompt": LEV["prompt"]}).json()["text"]
    assert answer == " dollar."


def test_an_edit_that_fails_leaves_its_batch_mates_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Grace.targets

    def broken(self: Grace, codebook: Any, requests: Sequence[Any]) -> Any:
        targets, errors = honest(self, codebook, requests[1:])
        return targets, [*errors, EditingError(requests[0].edit_id, "its values are not finite")]

    monkeypatch.setattr(Grace, "targets", broken)
    first, second = apply(server, LEV, {**LEV, "prompt": "Peru is a city in"})
    assert (first["status"], first["error"]) == ("failed", "its values are not finite")
    assert (second["status"], second["version"]) == ("applied", 1)


def test_an_edit_that_breaks_its_batch_is_isolated(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The editor raises whenever the poison is among the edits: the others apply, it ends after
    three attempts, and the next batch is normal.
    """
    honest = Grace.targets

    def poisoned(self: Grace, codebook: Any, requests: Sequence[Any]) -> Any:
        if any(len(request.phrasings[0].prompt) == 1 for request in requests):
            raise RuntimeError("poison")
        return honest(self, codebook, requests)

    monkeypatch.setattr(Grace, "targets", poisoned)
    poison = {**LEV, "prompt": " the"}  # one token
    good = [{**LEV, "prompt": f"The currency of {name} is the"} for name in ("Peru", "Chad")]
    ends = apply(server, good[0], poison, good[1])
    assert [edit["status"] for edit in ends] == ["applied", "failed", "applied"]
    assert ends[1]["error"] == "RuntimeError: poison"
    assert apply(server, LEV)[0]["status"] == "applied"


def test_an_edit_that_ends_every_server_fails(tmp_path: Path) -> None:
    """As one that needs more memory than there is; what was claimed with it applies."""
    with built(tmp_path, role="api") as (_, app):
        http = TestClient(app, headers=bearer(ADMIN_KEY))
        http.post("/edits", json={"edits": [LEV, {**LEV, "prompt": "Peru is a city in"}]})
    database = open_database(f"sqlite:///{tmp_path / 'errata.db'}")
    leases, queue = Leases(database, seconds=60), EditQueue(database)
    for number in range(6):
        lease = leases.take(f"killed-{number}")
        assert lease is not None
        assert len(queue.claim(lease, 32)) == (2 if number < 3 else 1)
    database.close()
    for server in run_server(tmp_path):
        first, second = (server.http.get(f"/edits/{n}?wait=60").json() for n in (1, 2))
        assert (first["status"], first["error"]) == (
            "failed",
            "6 servers ended while they applied it",
        )
        assert (second["status"], second["version"]) == ("applied", 1)


def test_poison_among_good_edits_blocks_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of one edit is not a number, from the first step on."""

    def poisoned(table: Any, trial: Any, **fields: Any) -> None:
        descend(table, trial, **fields)
        if len(table) > len(edits):  # the batch as a whole
            table[5] = torch.nan

    monkeypatch.setattr("service.editing.grace.descend", poisoned)
    records = list(read_edits(EDITS_FILE))
    edits = [{name: r[name] for name in ("prompt", "target_new")} for r in records[:32]]
    monkeypatch.setattr(server.services.worker, "_linger_s", 1.0)
    ends = apply(server, *edits)
    (poison,) = [end for end in ends if end["status"] != "applied"]
    assert (poison["status"], poison["error"]) == ("failed", "its values or keys are not finite")
    assert [end["batch_id"] for end in ends if end is not poison] == [1] * 31
    assert apply(server, LEV)[0]["status"] == "applied"


def test_a_target_that_is_not_reached_fails_and_leaves_no_trace(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Grace.targets

    def useless(self: Grace, codebook: Any, requests: Sequence[Any]) -> Any:
        targets, errors = honest(self, codebook, requests)
        targets[0].values.zero_()
        return targets, errors

    monkeypatch.setattr(Grace, "targets", useless)
    (edit,) = apply(server, LEV)
    assert (edit["status"], edit["error"]) == (
        "failed",
        "greedy generation does not say the target as it stands",
    )
    assert server.http.get("/version").json()["version"] == 0


def test_an_edit_that_comes_while_the_worker_looks_lets_others_join(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = EditQueue.is_empty
    looked, answered = threading.Event(), threading.Event()

    def slow(queue: EditQueue, lease: Lease) -> bool:
        empty = honest(queue, lease)
        if not looked.is_set():
            looked.set()
            answered.wait(30)
        return empty

    monkeypatch.setattr(EditQueue, "is_empty", slow)
    for server in run_server(tmp_path, linger_ms=1000):
        assert looked.wait(30)
        server.http.post("/edits", json=LEV)
        answered.set()
        (second,) = apply(server, {**LEV, "prompt": "The currency of Peru is the"})
        assert second["batch_id"] == server.http.get("/edits/1").json()["batch_id"] == 1
        assert server.http.get("/batches/1").json()["metrics"]["edits"] == 2


@pytest.mark.parametrize("reported", ["before the commit", "after the commit"])
def test_a_commit_in_trouble_is_neither_lost_nor_repeated(
    reported: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails twice, once it has committed or before: no edit is to blame, all are
    applied, each once.
    """
    honest = Log.commit_batch
    failures = iter(range(2))

    def failing(self: Log, applied: Any, **fields: Any) -> Any:
        if next(failures, None) is None:
            return honest(self, applied, **fields)
        if reported == "after the commit":
            honest(self, applied, **fields)
        raise OperationalError("COMMIT", {}, OSError("connection lost"))

    monkeypatch.setattr(Log, "commit_batch", failing)
    names = ("Bulgaria", "Peru", "Chad")
    edits = [{**LEV, "prompt": f"The currency of {name} is the"} for name in names]
    for edit in edits:
        assert apply(server, edit)[0]["status"] == "applied"
    batches = server.http.get("/batches").json()["batches"]
    assert [edit for batch in batches for edit in batch["edit_ids"]] == [1, 2, 3]
    assert server.http.get("/version").json()["version"] == len(batches) == 3
