"""An evaluation against the bundled model: what it reports, and that it can go on."""

from typing import Any

from service.atlas import EDITS_FILE
from service.evaluation.datasets import read_records
from service.evaluation.report import markdown
from service.evaluation.run import How, Report, Retention, evaluate
from service.evaluation.scope import Scope
from tests.conftest import Server
from tests.templates import CHATML

RECORDS = read_records(EDITS_FILE, limit=12)


class Routes:
    """The routes of a server in this process."""

    def __init__(self, server: Server) -> None:
        self._http = server.http

    def get(self, path: str, **parameters: Any) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._http.get(path, params=given).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()


def run(server: Server, count: int = len(RECORDS), given: int = 0) -> Report:
    return evaluate(Routes(server), RECORDS[:count], How(4, 2, given), lambda *_: None)


def test_a_report_of_edits_that_take(server: Server) -> None:
    report = run(server)
    assert (report.model, report.editor, report.edits, report.applied) == ("atlas", "grace", 12, 12)
    assert report.figures.efficacy == report.figures.efficacy_exact == 1.0
    assert (report.figures.neighborhood_exact or 0) >= 0.98
    assert 0 < (report.figures.paraphrase or 0) < 1
    assert report.retention == (Retention(8, 1.0, 1.0), Retention(12, 1.0, 1.0))
    assert report.trr == report.scope.unrelated == 1.0
    assert report.scope.prompt == report.scope.other_template == report.scope.other_subject == 1.0
    # Every phrasing that is said whole begins a free answer, unless its last word goes on there.
    assert 0 < (report.scope.paraphrase or 0) <= (report.figures.paraphrase_exact or 0)
    assert (report.scope.neighborhood or 0) >= 0.98
    assert (report.scope.context, report.scope.chat) == (0.0, None)
    assert report.h == 0.0
    assert (report.edits_per_second or 0) > 0
    table = markdown(report)
    assert "| grace on atlas | |" in table
    assert "| ERR, ES after 8 edits | 100.0%, 100.0% |" in table
    assert "| answers, behind context | 0.0% |\n| answers, in chats | - |" in table
    assert "| unchanged, unrelated text | 100.0% |\n| H | 0.0% |" in table
    assert "| peak memory (MiB) | - |" in table


def test_given_paraphrases_go_with_the_edits_and_are_not_asked(server: Server) -> None:
    report = run(server, given=2)
    edits = server.http.get("/edits").json()["edits"]
    assert [tuple(edit["paraphrases"]) for edit in edits] == [r.paraphrases[:2] for r in RECORDS]
    assert (report.figures.paraphrase or 0) > 0.4


def test_a_stopped_evaluation_goes_on(server: Server) -> None:
    run(server, 4)
    report = run(server)
    assert report.applied == 12
    assert len(server.http.get("/edits").json()["edits"]) == 12


def test_a_base_model_knows_none_of_the_new_and_all_of_the_old(server: Server) -> None:
    """The same questions with every edit rolled back: all figures turn round."""
    run(server)
    server.http.post("/admin/rollback", json={"version": 0, "reason": "compare"})
    report = run(server)
    assert (report.applied, report.edits_per_second) == (0, None)
    assert report.figures.efficacy == report.figures.efficacy_exact == 0.0
    assert report.figures.neighborhood == report.figures.neighborhood_exact == 1.0
    assert report.scope == Scope(0.0, 0.0, 0.0, None, 1.0, 1.0, 1.0, 1.0)


def test_a_model_with_a_chat_template_is_asked_in_it(server: Server) -> None:
    """In which edits hold that were given without a format."""
    server.services.engine.loaded.tokenizer.chat_template = CHATML
    scope = run(server, 1).scope
    assert (scope.prompt, scope.context, scope.chat) == (1.0, 1.0, 1.0)
