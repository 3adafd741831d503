"""OpenTelemetry's SDK, for an operator who asks for traces by its standard variables. Nobody else
pays for it: it is imported only then, and it is given to our own code alone, not to libraries.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Tracer

from service import __version__
from service.errors import StartupError

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
FLUSH_S = 3.0  # that a collector has to take the last spans, at the end


@contextmanager
def traced() -> Iterator[Tracer | None]:
    """Whom spans are told inside the block; None unless traces are asked for. Raises
    `StartupError` where they are and can't be had.
    """
    asked = _asked_by()
    if asked is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise StartupError(
            f"{asked} asks for traces, which need the extra `otel`: "
            f"pip install 'errata-server[otel]', or set {EXPORTER}=none"
        ) from None
    # Of headers that it can't read it would warn with the headers, and so with keys.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.ERROR)
    ours = Resource.create({"service.name": "errata", "service.version": __version__})
    try:
        exporter = OTLPSpanExporter()
        provider = TracerProvider(
            resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    except ValueError as error:
        raise StartupError(f"traces can't be sent as OTEL_ variables say: {error}") from None
    try:
        yield provider.get_tracer("errata", __version__)
    finally:
        # It would wait for half a minute where nobody takes the spans.
        timer = threading.Timer(FLUSH_S, exporter.shutdown)
        timer.start()
        provider.shutdown()
        timer.cancel()


def _asked_by() -> str | None:
    """The variable that asks for traces, once all of them can be followed."""
    if _value("OTEL_SDK_DISABLED").lower() == "true" or _value(EXPORTER) == "none":
        return None
    asked = next((name for name in (EXPORTER, *ENDPOINTS) if _value(name)), None)
    if asked is None:
        return None
    if _value(EXPORTER) not in {"", "otlp"}:
        raise StartupError(f"{EXPORTER}: '{_value(EXPORTER)}' is neither 'otlp' nor 'none'")
    for name in ENDPOINTS:
        if _value(name) and not _value(name).startswith(("http://", "https://")):
            raise StartupError(f"{name}: is no http:// or https:// address")
    protocol = next((name for name in PROTOCOLS if _value(name)), None)
    if protocol is not None and _value(protocol) != PROTOCOL:
        raise StartupError(f"{protocol}: '{_value(protocol)}' is not '{PROTOCOL}'")
    return asked


def _value(name: str) -> str:
    return os.environ.get(name, "").strip()
