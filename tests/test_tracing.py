"""Traces of requests, texts and batches: only where they are asked for, and nothing private."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

from service.app import build
from service.journal import journal
from service.settings import Settings
from service.tracing import traced
from tests.api.calls import EURO, PROMPT, bearer
from tests.conftest import Server, built
from tests.processes import child_environment, errata, serving
from tests.test_journal import MARK, SECRET, everything, lines

CALLER = "0af7651916cd43dd8448eb211c80319c"


@dataclass(frozen=True)
class Traced:
    server: Server
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (found,) = self.spans(name)
        return found


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Traced]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with (
        patch("tests.conftest.build", partial(build, tracer=provider.get_tracer("errata"))),
        built(tmp_path, admin_key=SECRET) as (services, app),
        TestClient(app, headers=bearer(SECRET), raise_server_exceptions=False) as http,
    ):
        yield Traced(Server(http, services), exporter)


def parent(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def context(span: ReadableSpan) -> SpanContext:
    found: SpanContext | None = span.context
    assert found is not None
    return found


def number(span: ReadableSpan) -> int:
    return context(span).span_id


def times(span: ReadableSpan) -> tuple[int, int]:
    """Its start and its end."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def test_a_request_and_its_texts(watched: Traced) -> None:
    ask = {"prompt": PROMPT, "n": 2, "max_new_tokens": 2, "temperature": 1.0, "seed": 1}
    headers = {"X-Request-ID": "mine", "traceparent": f"00-{CALLER}-b7ad6b7169203331-01"}
    usage = watched.server.http.post("/generate", json=ask, headers=headers).json()["usage"]
    request = watched.span("POST /generate")
    assert format(context(request).trace_id, "032x") == CALLER
    assert facts(request) == {
        "http.request.method": "POST",
        "http.route": "/generate",
        "http.response.status_code": 200,
        "errata.request_id": "mine",
        "errata.version": 0,
    }
    texts = watched.spans("generation")
    assert [parent(text) for text in texts] == [number(request)] * 2
    for text in texts:
        assert facts(text)["errata.version"] == 0
        assert facts(text)["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
        (first,) = text.events
        assert first.name == "first token"
        (begun, ended), (asked, answered) = times(text), times(request)
        assert asked < begun < first.timestamp <= ended < answered
        seconds = (first.timestamp - begun) / 1e9
        assert (first.attributes or {})["gen_ai.response.time_to_first_chunk"] == pytest.approx(
            seconds, abs=0.001
        )
    counts = [facts(text)["gen_ai.usage.output_tokens"] for text in texts]
    assert sum(counts) == usage["completion_tokens"]


def test_a_batch_its_phases_and_who_asked_for_it(watched: Traced) -> None:
    http = watched.server.http
    for body in ({"edits": [EURO, {**EURO, "prompt": "The capital of Kazakhstan is"}]}, EURO):
        (*_, last) = http.post("/edits", json=body).json()["edits"]
        http.get(f"/edits/{last['id']}?wait=30")
    first, second = watched.spans("batch")
    assert parent(first) is None
    assert facts(first) == {
        "errata.editor": "grace",
        "errata.batch.size": 2,
        "errata.batch.applied": 2,
        "errata.batch.outcome": "applied",
        "errata.batch.id": 1,
        "errata.version": 1,
    }
    asked = [number(request) for request in watched.spans("POST /edits")]
    for batch, request in zip((first, second), asked, strict=True):
        assert [link.context.span_id for link in batch.links] == [request]
        phases = [
            span for span in watched.exporter.get_finished_spans() if parent(span) == number(batch)
        ]
        order = ["targets", "insert", "verify", "artifact", "commit", "publish"]
        assert [phase.name for phase in phases] == order
        assert [times(phase) for phase in phases] == sorted(times(phase) for phase in phases)


def test_nothing_of_what_was_sent_is_traced(
    watched: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(watched.server, monkeypatch)
    spans = watched.exporter.get_finished_spans()
    said = "".join(span.to_json() for span in spans)
    assert MARK.lower() not in said.lower()
    failed = {(s.name, facts(s).get("error.type")) for s in spans if not s.status.is_ok}
    assert failed == {
        ("POST /score", "KeyError"),
        ("POST /score", None),  # answered with 503
        ("targets", "KeyError"),
        ("batch", "KeyError"),
    }
    assert {s.status.status_code for s in watched.spans("POST /edits")} == {StatusCode.UNSET}


def test_a_text_whose_client_leaves_has_its_span(watched: Traced) -> None:
    body = {"prompt": PROMPT, "max_new_tokens": 500, "stream": True}
    with watched.server.http.stream("POST", "/generate", json=body):
        pass
    (text,) = watched.spans("generation")
    assert "gen_ai.response.finish_reasons" in facts(text)


def test_lines_of_the_log_name_their_spans(
    watched: Traced, capsys: pytest.CaptureFixture[str]
) -> None:
    with journal(Settings(log_format="json")):
        watched.server.http.post("/edits", json=EURO)
        watched.server.http.get("/edits/1?wait=30")
    said = {line["event"]: line for line in lines(capsys.readouterr().err)}
    for event, name in (
        ("edits were queued", "POST /edits"),
        ("a batch was applied, 0 of its edits were not", "batch"),
    ):
        span = context(watched.span(name))
        assert said[event]["trace_id"] == format(span.trace_id, "032x")
        assert said[event]["span_id"] == format(span.span_id, "016x")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin' is neither 'otlp' nor 'none'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "is no http:// or https:// address"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' is not 'http/protobuf'",
        ),
    ],
)
def test_what_cannot_be_followed_is_one_line(
    variables: dict[str, str], reason: str, tmp_path: Path
) -> None:
    result = errata("serve", ERRATA_DATA_DIR=str(tmp_path), ERRATA_PORT="0", **variables)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_the_extra_it_says_which_one(tmp_path: Path) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    with patch.dict(sys.modules, {"opentelemetry.exporter.otlp.proto.http.trace_exporter": None}):
        result = errata("serve", ERRATA_DATA_DIR=str(tmp_path), ERRATA_PORT="0", **endpoint)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "pip install 'errata-server[otel]'" in result.stderr


@pytest.mark.parametrize(
    "switch", [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")]
)
def test_it_can_be_switched_off(switch: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv(*switch)
    with traced() as tracer:
        assert tracer is None


def test_nobody_pays_who_does_not_ask(tmp_path: Path) -> None:
    """FastAPI brings the API, which does nothing by itself; the SDK and exporters stay away, even
    where FastAPI is told to send traces of its own, which hold prompts.
    """
    code = """
import os, sys
from unittest.mock import patch
from typer.testing import CliRunner
from service.cli import app
with patch("uvicorn.Server.run", autospec=True) as run:
    assert CliRunner().invoke(app, ["serve"], catch_exceptions=False).exit_code == 0
served = run.call_args.args[0].config.app
from fastapi.testclient import TestClient
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
with TestClient(served) as http:
    assert http.get("/health/live").status_code == 200
sending = ("opentelemetry.sdk", "opentelemetry.exporter")
print(*(name for name in sys.modules if name.startswith(sending)))
"""
    environment = child_environment(tmp_path, FASTAPI_OTEL_AUTO_CONFIGURE="true")
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert (result.returncode, result.stdout.strip()) == (0, b""), result.stderr.decode()


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_a_server_sends_to_the_collector_that_is_named(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        taken: list[tuple[str, bytes]] = []
        collector.taken = taken  # type: ignore[attr-defined]
        threading.Thread(target=collector.serve_forever).start()
        try:
            endpoint = f"http://127.0.0.1:{collector.server_port}"
            with serving(tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as child:
                child.process.terminate()
                assert child.process.wait(30) == 0
        finally:
            collector.shutdown()
    assert {path for path, _ in taken} == {"/v1/traces"}
    sent = b"".join(body for _, body in taken)
    assert b"GET /health/ready" in sent
    assert b"errata" in sent
    events = [json.loads(line) for line in child.errors.read_text().splitlines()]
    assert any("trace_id" in event for event in events)
