"""`POST /edits?dry_run=true`: what a batch would do, and nothing of it is kept."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select

from service.domain.edits import Correction
from service.domain.keys import Scope
from service.errors import StoppedError
from service.storage.tables import Table
from tests.api.calls import EURO, PROMPT, apply, new_key, refused, say
from tests.api.conftest import idle_server
from tests.api.test_disconnects import BUSY_S, asked
from tests.api.test_metrics import scraped
from tests.conftest import Server, run_server
from tests.live import listening
from tests.operations.test_probes import POLAND, euro, probed
from tests.operations.test_reports import ROME, SPAIN, chatting  # noqa: F401  # a fixture
from tests.waiting import until

LANE = 8  # dry runs that are made or wait
DENMARK = "The currency of Denmark is the"


def tried(server: Server, *edits: dict[str, Any], **headers: str) -> dict[str, Any]:
    body = {"edits": list(edits)}
    answer = server.http.post("/edits?dry_run=true", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["dry_run"] is True
    return found


def everything(server: Server) -> list[Any]:
    """What edits would show in: the database's rows, the artifacts and the server's own state."""
    settings = server.services.settings
    database = create_engine(settings.resolved_database_url)
    with database.connect() as connection:
        rows = {
            name: connection.scalar(select(func.count()).select_from(table))
            for name, table in Table.metadata.tables.items()
        }
    database.dispose()
    files = sorted(path for path in (settings.data_dir / "artifacts").glob("**/*"))
    figures = {
        name: value
        for name, value in scraped(server).items()
        if name.startswith(("errata_batch", "errata_edits", "errata_hits", "errata_probes"))
    }
    return [rows, files, figures, server.services.overlays.current, say(server.http)]


def same(edit: dict[str, Any], applied: dict[str, Any]) -> bool:
    return {name: applied[name] for name in edit if name != "index"} == {
        name: value for name, value in edit.items() if name != "index"
    }


def test_it_tells_what_the_batch_then_does(server: Server) -> None:
    apply(server.http, {**EURO, "prompt": "The currency of Peru is the"})
    edits = [
        {**EURO, "paraphrases": ["In Bulgaria, they pay in"], "neighborhood": [DENMARK]},
        {**ROME, "strict": True},
        {**SPAIN, "subject": "Spai"},
        {**EURO, "target_new": "lev", "prompt": "Bulgaria's currency is the"},
    ]
    say(server.http)  # counted before
    before = everything(server)

    told = tried(server, *edits)

    assert everything(server) == before
    assert server.services.engine.hits.total == before[2]["errata_hits_total"]
    assert (told["version"], told["changed_probes"]) == (1, None)
    assert [edit["index"] for edit in told["edits"]] == [0, 1, 2, 3]
    assert [edit["status"] for edit in told["edits"]] == ["applied", "failed", "applied", "applied"]
    ends = apply(server.http, *edits)
    assert all(map(same, told["edits"], ends))
    assert told["edits"][2]["warnings"]
    assert ends[0]["version"] == 2


def test_edits_that_contradict_each_other_are_named_by_their_place(server: Server) -> None:
    first, second = tried(server, {**EURO, "target_new": "yen"}, EURO)["edits"]
    assert (first["status"], second["status"]) == ("superseded", "applied")
    assert first["error"] == "edits[1] of the same batch gives this prompt another target"
    assert first["report"] is None


def test_both_forms_are_tried(chatting: Server) -> None:  # noqa: F811
    (edit,) = tried(chatting, {**SPAIN, "neighborhood": [DENMARK]})["edits"]
    phrasings = [(one["field"], one["format"]) for one in edit["report"]["phrasings"]]
    fields = ("prompt", "paraphrases[0]")
    assert phrasings == [(field, form) for field in fields for form in ("plain", "chat")]
    assert [one["format"] for one in edit["report"]["neighbors"]] == ["plain", "chat"]
    assert same(edit, *apply(chatting.http, {**SPAIN, "neighborhood": [DENMARK]}))


def test_probes_hold_for_it_too(tmp_path: Path) -> None:
    with probed(tmp_path, POLAND) as server:
        told = tried(server, euro("Bulgaria"), euro("Poland"))
        assert [edit["status"] for edit in told["edits"]] == ["applied", "failed"]
        assert told["edits"][1]["error"].startswith("it breaks 1 probe: 'The currency of Poland")
        assert told["changed_probes"] == []
        assert scraped(server)["errata_probes_refused_edits_total"] == 0


def test_what_no_single_batch_holds_is_refused(tmp_path: Path) -> None:
    with idle_server(tmp_path, max_batch=2) as server:

        def ask(*edits: dict[str, Any], query: str = "dry_run=true") -> Any:
            return server.http.post(f"/edits?{query}", json={"edits": list(edits)})

        refused(ask(EURO, EURO, EURO), 422, "edits")
        refused(ask(EURO, {**EURO, "editor": "entity"}), 422, "edits[1].editor")
        steps = {**EURO, "hyperparameters": {"steps": 3}}
        refused(ask(EURO, steps), 422, "edits[1].hyperparameters")
        refused(ask(EURO, query="dry_run=maybe"), 422, "dry_run")
        refused(ask({**EURO, "strict": "yes"}), 422, "edits[0].strict")
        refused(ask({**EURO, "subject": "Peru"}), 422, "edits[0].subject")
        assert ask(EURO, EURO).status_code == 200
        key = new_key(server, Scope.GENERATE)
        answer = server.http.post("/edits?dry_run=true", json=EURO, headers=key)
        refused(answer, 403)
        # Nothing waits for what is to be made first.
        problem = refused(ask({**EURO, "editor": "entity"}), 409)
        assert "`errata stats --editor entity`" in problem["detail"]
        memit = {**EURO, "editor": "memit", "subject": "Bulgaria"}
        assert "--editor memit" in refused(ask(memit), 409)["detail"]
        assert server.http.get("/edits").json()["edits"] == []


def test_an_idempotency_key_is_left_for_the_real_request(idle: Server) -> None:
    key = {"Idempotency-Key": "k"}
    tried(idle, EURO, **key)
    answer = idle.http.post("/edits", json={**EURO, "target_new": "yen"}, headers=key)
    assert (answer.status_code, answer.json()["edits"][0]["id"]) == (202, 1)


def test_batches_are_committed_beside_it_and_too_many_are_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    dry_run, released = server.services.dry_run, threading.Event()
    making, begun = dry_run._making, []

    def slow(*given: Any) -> Any:
        begun.append(given)
        released.wait(BUSY_S)
        return making(*given)

    monkeypatch.setattr(dry_run, "_making", slow)
    lane = server.services.lanes.dry_runs._limiter.statistics
    with ThreadPoolExecutor(LANE) as pool:
        try:
            first = pool.submit(tried, server, EURO)
            until(lambda: len(begun) == 1, BUSY_S)
            (edit,) = apply(server.http, {**EURO, "target_new": "yen"})
            assert (edit["status"], say(server.http)) == ("applied", " yen.")
            others = [pool.submit(tried, server, EURO) for _ in range(LANE - 1)]
            until(lambda: lane().tasks_waiting == LANE - 1, BUSY_S)
            answer = server.http.post("/edits?dry_run=true", json=EURO)
            assert "dry runs of edits" in refused(answer, 429)["detail"]
            assert answer.headers["Retry-After"]
            assert len(begun) == 1
        finally:
            released.set()
        assert first.result()["version"] == 0
        assert {one.result()["version"] for one in others} == {1}


def test_a_family_that_has_come_meanwhile_is_told(tmp_path: Path) -> None:
    for server in run_server(tmp_path):
        correction = Correction(PROMPT, "euro", "memit", subject="Bulgaria")
        apply(server.http, EURO)
        with pytest.raises(Exception, match="this log holds a codebook"):
            server.services.dry_run._pinned(correction)


def test_a_batch_that_comes_meanwhile_is_built_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its family would not have been looked at."""
    dry_run = server.services.dry_run
    seen: list[object] = []

    class Family:
        def check(self, _: Correction) -> None:
            if not seen:
                seen.append(apply(server.http, EURO))

    monkeypatch.setattr(dry_run, "_family", Family())
    assert tried(server, SPAIN)["version"] == 1


def test_who_has_left_is_not_worked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(tmp_path) as live:
        dry_run = live.services.dry_run
        gone = threading.Event()
        gone.set()
        with pytest.raises(StoppedError):
            dry_run([Correction(PROMPT, "euro", "grace")], gone)
        given_up: list[threading.Event] = []
        honest = live.services.engine.until

        def heard(event: threading.Event) -> AbstractContextManager[None]:
            given_up.append(event)
            return honest(event)

        monkeypatch.setattr(live.services.engine, "until", heard)
        monkeypatch.setattr(dry_run, "_making", lambda *_: given_up[0].wait(BUSY_S) and 1 / 0)
        client = asked(live, "POST", "/edits?dry_run=true", EURO)
        until(lambda: bool(given_up), BUSY_S)
        assert not given_up[0].is_set()
        client.close()
        assert given_up[0].wait(BUSY_S)


def test_the_document_has_both_answers(idle: Server) -> None:
    document = idle.http.get("/openapi.json").json()
    operation = document["paths"]["/edits"]["post"]
    shapes = {
        status: operation["responses"][status]["content"]["application/json"]["schema"]["$ref"]
        for status in ("200", "202")
    }
    assert shapes == {
        "200": "#/components/schemas/TriedOut",
        "202": "#/components/schemas/EditsAccepted",
    }
    assert "Location" not in operation["responses"]["200"]["headers"]
    required = document["components"]["schemas"]["TriedEditOut"]["required"]
    assert {"index", "status", "report"} <= set(required)
