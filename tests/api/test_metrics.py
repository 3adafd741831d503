"""`GET /metrics`: what happened is counted, and nothing of what clients sent is told."""

import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from service.domain.keys import Scope
from service.engine.counts import Ending
from service.engine.running import Wanted
from service.storage.census import Census
from tests.api.calls import EURO, PROMPT, apply, new_key, refused, say
from tests.conftest import ADMIN_KEY, Server, run_server

README = Path(__file__).parents[2] / "README.md"
ROW = re.compile(r"\| `((?:errata|process)_\w+)` \| (\w+) \| (.+) \|")


def scraped(server: Server) -> dict[str, float]:
    """Samples by name and labels, as they are written."""
    found = {}
    for family in text_string_to_metric_families(server.http.get("/metrics").text):
        for name, labels, value, *_ in family.samples:
            given = ",".join(f"{label}={labels[label]}" for label in sorted(labels))
            found[f"{name}{{{given}}}" if given else name] = value
    return found


def added(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    changes = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: change for name, change in changes.items() if change}


def test_texts_are_counted(server: Server) -> None:
    before = scraped(server)
    asked = {"prompt": PROMPT, "max_new_tokens": 2, "n": 2, "temperature": 1.0, "seed": 1}
    usage = server.http.post("/generate", json=asked).json()["usage"]
    whole = server.http.post("/generate", json={"prompt": PROMPT}).json()  # ends by itself
    found = added(before, scraped(server))
    assert whole["finish_reason"] == "stop"
    assert found["errata_prompt_tokens_total"] == 3 * usage["prompt_tokens"]
    made = usage["completion_tokens"] + whole["usage"]["completion_tokens"]
    ends = found.get("errata_request_success_total{finished_reason=stop}", 0)
    assert found["errata_generation_tokens_total"] == made + ends
    assert found["errata_time_to_first_token_seconds_count"] == 3
    assert found["errata_inter_token_latency_seconds_count"] == made + ends - 3
    assert found["errata_e2e_request_latency_seconds_count"] == 3
    assert found["errata_e2e_request_latency_seconds_sum"] > 0
    assert scraped(server)["errata_num_requests_running"] == 0
    assert scraped(server)["errata_kv_cache_usage_perc"] == 0


def test_edits_and_changes_of_history_are_counted(server: Server) -> None:
    before = scraped(server)
    assert (before["errata_version"], before["errata_codebook_entries"]) == (0, 0)
    apply(server.http, EURO)
    assert say(server.http) == " euro."
    server.http.post("/admin/batches/1/rollback", json={"reason": "a test"})
    server.http.post("/admin/batches/1/restore", json={"reason": "a test"})
    found = scraped(server)
    assert found["errata_edits{editor=grace,state=applied}"] == 1
    assert found["errata_queue_depth"] == 0
    assert found["errata_version"] == 3
    assert found["errata_codebook_entries"] >= 1
    assert found["errata_hits_total"] >= 1
    assert found["errata_database_up"] == 1
    for kind in ("apply", "rollback", "restore"):
        assert found[f"errata_versions_total{{kind={kind}}}"] == 1
    for phase in ("targets", "insert", "verify"):
        assert found[f"errata_batch_phase_seconds_count{{phase={phase}}}"] == 1
    assert found["errata_batch_phase_seconds_sum{phase=targets}"] > 0
    assert (found["errata_lease_held"], found["errata_lease_token"]) == (1, 1)
    assert found["process_resident_memory_bytes"] > 1 << 20


def test_edits_that_wait_are_counted(idle: Server) -> None:
    idle.http.post("/edits", json={"edits": [EURO, EURO]})
    found = scraped(idle)
    assert found["errata_queue_depth"] == 2
    assert 0 < found["errata_queue_oldest_age_seconds"] < 60
    assert found["errata_lease_held"] == 0


def test_a_text_whose_client_leaves_is_an_abort(server: Server) -> None:
    engine = server.services.engine
    with engine.still():  # no pass begins
        wanted = Wanted(engine.prompt_tokens(PROMPT), None, 100)
        runs = engine.submit((wanted, lambda _: None))
        assert scraped(server)["errata_num_requests_waiting"] in {0, 1}
        engine.cancel(runs)
    assert engine.drain(10)
    assert engine.counts.endings[Ending.ABORT] == 1


def test_labels_are_templates_and_nothing_that_was_sent(server: Server) -> None:
    mark = "zyxw-9876"
    server.http.get("/edits/1?wait=0")
    server.http.get(f"/{mark}", headers={"X-Request-ID": mark})
    server.http.get(f"/v1/models/{mark}/{mark}")
    server.http.post("/edits", json={"prompt": mark, "target_new": mark})
    server.http.get("/generate", params={"prompt": mark})
    server.http.request(mark.upper(), "/edits")
    text = server.http.get("/metrics").text
    assert mark not in text.lower()
    assert ADMIN_KEY not in text
    found = scraped(server)
    counted = "errata_http_requests_total{method=%s,route=%s,status=%d}"
    assert found[counted % ("GET", "/edits/{edit_id}", 404)] == 1
    assert found[counted % ("GET", "none", 404)] == 1
    assert found[counted % ("GET", "/v1/models/{model:path}", 404)] == 1
    assert found[counted % ("POST", "/edits", 202)] == 1
    assert found[counted % ("other", "/edits", 405)] == 1
    duration = "errata_http_request_duration_seconds_count{method=POST,route=/edits}"
    assert found[duration] == 1


def test_failures_are_counted_as_their_client_sees_them(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("a crash")

    monkeypatch.setattr(server.services.ask, "score", crash)
    body = {"prompt": PROMPT, "targets": ["euro"]}
    assert server.http.post("/score", json=body).status_code == 500
    assert scraped(server)["errata_http_requests_total{method=POST,route=/score,status=500}"] == 1


def test_two_servers_of_one_process_count_for_themselves(server: Server, tmp_path: Path) -> None:
    with contextmanager(run_server)(tmp_path / "other") as other:
        say(server.http)
        assert scraped(server)["errata_generation_tokens_total"] > 0
        assert scraped(other)["errata_generation_tokens_total"] == 0


@pytest.mark.parametrize("scope", Scope)
def test_a_key_of_any_scope_reads_them(server: Server, scope: Scope) -> None:
    answer = server.http.get("/metrics", headers=new_key(server, scope))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert server.http.get("/metrics", headers=openmetrics).text.endswith("# EOF\n")


def test_nobody_reads_them_without_a_key(shared_server: Server) -> None:
    nobody = {"Authorization": "Bearer none"}
    refused(shared_server.http.get("/metrics", headers=nobody), 401)


def test_without_a_database_the_engine_is_still_seen(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: Census) -> NoReturn:
        raise OperationalError("SELECT", {}, Exception("the connection is closed"))

    say(server.http)
    monkeypatch.setattr(Census, "take", lost)
    found = scraped(server)
    assert found["errata_database_up"] == 0
    assert found["errata_generation_tokens_total"] > 0
    assert "errata_queue_depth" not in found


def test_every_metric_stands_in_the_readme(shared_server: Server) -> None:
    families = {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            family.documentation,
        )
        for family in shared_server.services.metrics.registry.collect()
    }
    assert families == {name: (kind, text) for name, kind, text in ROW.findall(README.read_text())}


def test_scrapes_from_many_threads_agree_with_passes(server: Server) -> None:
    """Counting and reading at once breaks neither."""
    readers = [threading.Thread(target=lambda: scraped(server)) for _ in range(4)]
    for reader in readers:
        reader.start()
    texts = [say(server.http) for _ in range(4)]
    for reader in readers:
        reader.join()
    assert texts == [" lev."] * 4
    assert scraped(server)["errata_request_success_total{finished_reason=stop}"] == 4
