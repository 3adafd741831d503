"""The log: one line an event, in both formats, and nothing of what clients or operators keep."""

import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from service.journal import journal
from service.settings import Settings
from service.telling import WITHHELD, told, traced
from tests.api.calls import bearer
from tests.conftest import ADMIN_KEY, Server, built
from tests.processes import serving

Form = Literal["json", "console"]
MARK = "Zyxwmark"
# What a terminal would obey: colours, a new line, a bell, delete, a mark that turns text around.
CONTROLS = "\x1b[31m\r\n\x07\x7f\u202e\u2066"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
SECRET = f"{MARK}-secret-key"
FORMS: list[Form] = ["json", "console"]


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines()]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    with (
        built(tmp_path, admin_key=SECRET) as (services, app),
        TestClient(app, headers=bearer(SECRET), raise_server_exceptions=False) as http,
    ):
        yield Server(http, services)


def crash(*_: Any, **__: Any) -> None:
    class Body(BaseModel):
        number: int

    try:
        Body.model_validate({"number": MARK})
    except ValueError as error:
        raise KeyError(MARK) from error


def lose(*_: Any, **__: Any) -> NoReturn:
    statement = f"INSERT INTO edits VALUES ('{MARK}')"
    raise OperationalError(statement, {"p": MARK}, Exception(f"disk is full\nDETAIL: {MARK}"))


def everything(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked requests, in every way that a request can end."""
    http, prompt = server.http, f"{MARK} {CONTROLS} is"
    edit = {"prompt": prompt, "target_new": MARK, "metadata": {MARK: MARK}}
    (queued,) = http.post("/edits", json=edit, headers={"Idempotency-Key": MARK}).json()["edits"]
    assert http.get(f"/edits/{queued['id']}?wait=30").json()["status"] == "applied"
    reason = {"reason": MARK + CONTROLS}
    statuses = [
        http.get("/generate", params={"prompt": prompt}).status_code,
        http.post("/generate", json={"prompt": prompt, "stream": True}).status_code,
        http.post("/admin/batches/1/rollback", json=reason).status_code,
        http.get(f"/{MARK}%0a%1b%e2%80%ae?{MARK}={MARK}").status_code,
        http.get(f"/v1/models/{MARK}%1b").status_code,
        http.post("/edits", content=f'{{"{MARK}'.encode()).status_code,
        http.post("/generate", json={MARK: prompt}).status_code,
        http.get("/version", headers=bearer(f"{MARK}-wrong")).status_code,
        http.request(MARK, "/version", headers={"X-Request-ID": f"{MARK}\x1b"}).status_code,
    ]
    assert statuses == [200, 200, 200, 404, 404, 422, 422, 401, 405]
    body = {"prompt": prompt, "targets": [MARK]}
    monkeypatch.setattr(server.services.ask, "score", crash)
    assert http.post("/score", json=body).status_code == 500
    monkeypatch.setattr(server.services.ask, "score", lose)
    assert http.post("/score", json=body).status_code == 503
    monkeypatch.setattr(server.services.engine.__class__, "editing", crash)
    (failing,) = http.post("/edits", json=edit).json()["edits"]
    assert http.get(f"/edits/{failing['id']}?wait=30").json()["status"] == "failed"


@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_what_was_sent_is_logged(
    form: Form,
    served: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with journal(Settings(log_format=form, log_level="debug")):
        everything(served, monkeypatch)
    said = capsys.readouterr().err
    assert "storage is in trouble: OperationalError: disk is full" in said
    assert "a request failed" in said
    assert "a batch of 1 edits failed" in said
    assert MARK.lower() not in said.lower()
    assert RAW.search(said) is None
    if form == "json":
        statuses = [line["status"] for line in lines(said) if line["event"] == "request"]
        assert {200, 202, 404, 405, 422, 401, 500, 503} == set(statuses)


def test_a_line_names_what_it_is_about(served: Server, capsys: pytest.CaptureFixture[str]) -> None:
    edit = {"prompt": "The currency of Bulgaria is the", "target_new": "euro"}
    with journal(Settings(log_format="json")):
        served.http.post("/edits", json=edit, headers={"X-Request-ID": "mine"})
        served.http.get("/edits/1?wait=30")
        served.http.get("/generate?prompt=The")
    said = lines(capsys.readouterr().err)
    for line in said:
        assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["timestamp"])
    queued, accepted = (line for line in said if line.get("request_id") == "mine")
    assert (queued["event"], queued["edit_ids"]) == ("edits were queued", [1])
    assert (accepted["event"], accepted["level"]) == ("request", "info")
    assert accepted["logger"] == "service.api.observing"
    assert (accepted["method"], accepted["route"], accepted["status"]) == ("POST", "/edits", 202)
    assert 0 < accepted["seconds"] < 10
    (applied,) = (line for line in said if line["event"].startswith("a batch was applied"))
    assert (applied["batch_id"], applied["version"], applied["edit_ids"]) == (1, 1, [1])
    asked, generated = (line for line in said if line.get("method") == "GET")
    assert (asked["route"], asked["edit_id"]) == ("/edits/{edit_id}", 1)
    assert (generated["route"], generated["version"]) == ("/generate", 1)


def test_a_status_is_a_number(served: Server, capsys: pytest.CaptureFixture[str]) -> None:
    with journal(Settings(log_format="console")):
        served.http.get("/generate")
    assert " status=422" in capsys.readouterr().err


@pytest.mark.parametrize("form", FORMS)
def test_what_clients_write_rules_no_terminal(
    form: Form, capsys: pytest.CaptureFixture[str]
) -> None:
    with journal(Settings(log_format=form)):
        logging.getLogger("service").info("said %s", f"a{CONTROLS}b")
        logging.getLogger("service").error("failed", exc_info=RuntimeError(f"a{CONTROLS}b"))
    said = capsys.readouterr().err
    assert RAW.search(said) is None
    assert r"\u202e" in said
    assert said.count("\n") == (2 if form == "json" else 3)


def test_only_what_is_asked_for_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    with journal(Settings(log_format="json", log_level="warning")):
        for name in ("service.worker", "uvicorn.error", "sqlalchemy.engine", "httpx"):
            for level in ("debug", "info", "warning"):
                getattr(logging.getLogger(name), level)("a line")
    found = {(line["logger"], line["level"]) for line in lines(capsys.readouterr().err)}
    loggers = ("service.worker", "uvicorn.error", "sqlalchemy.engine", "httpx")
    assert found == {(name, "warning") for name in loggers}


def test_warnings_and_dying_threads_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def die() -> NoReturn:
        raise KeyError(MARK)

    with journal(Settings(log_format="json")), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # within the block that catches
        warnings.warn("a library's", stacklevel=1)
        thread = threading.Thread(target=die, name="short-lived")
        thread.start()
        thread.join()
    warned, died = lines(capsys.readouterr().err)
    assert "a library's" in warned["event"]
    assert (died["event"], died["level"]) == ("the thread short-lived has died", "critical")
    assert died["exception"].endswith(f"KeyError: {WITHHELD}")
    assert "in die" in died["exception"]


def test_all_is_as_before_behind_it() -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, threading.excepthook, warnings.showwarning)
    with journal(Settings()):
        assert len(root.handlers) == len(before[0]) + 1
    assert (root.handlers, root.level, threading.excepthook, warnings.showwarning) == before


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (RuntimeError("out of memory\nmore"), "RuntimeError: out of memory"),
        (KeyError(MARK), f"KeyError: {WITHHELD}"),
        (ValueError(MARK), f"ValueError: {WITHHELD}"),
        (IntegrityError("x", {}, Exception(MARK)), f"IntegrityError: {WITHHELD}"),
    ],
)
def test_messages_that_may_quote_are_withheld(error: Exception, line: str) -> None:
    assert told(error) == line


def test_a_connection_string_is_not_told() -> None:
    engine = create_engine(f"postgresql+psycopg://errata:{MARK}@127.0.0.1:1/errata")
    with pytest.raises(OperationalError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert "127.0.0.1" in told(caught.value)
    assert MARK not in traced(caught.value)


def test_a_server_speaks_json_from_its_start_on(tmp_path: Path) -> None:
    with serving(tmp_path / "data", ERRATA_ADMIN_KEY=ADMIN_KEY) as child:
        child.answer("The currency of Bulgaria is the")
    # A request is told of once it has been answered: by its end a server has told of all.
    said = lines(child.errors.read_text())
    events = [line["event"] for line in said]
    assert any("running on http://127.0.0.1:" in event for event in events)
    assert events.count("request") >= 2  # readiness, and the text
    assert "uvicorn.error" in {line["logger"] for line in said}
    assert ADMIN_KEY not in child.errors.read_text()
