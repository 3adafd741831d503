"""What the server logs, the web server's and libraries' lines included: one line an event on the
standard error, as JSON, or laid out for a terminal.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from typing import Any

import structlog
from asgi_correlation_id import correlation_id
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict
from transformers.utils import logging as transformers_logging

from service.settings import Settings
from service.telling import told, traced

# What our lines say beside their event; what libraries add is left out, since it can be anything.
FACTS = (
    "method", "route", "status", "seconds", "edit_ids", "edit_id", "batch_ids", "batch_id",
    "version", "editor", "kind", "token",
)  # fmt: skip


@contextmanager
def journal(settings: Settings) -> Iterator[None]:
    """Lines go to the standard error inside the block."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings.log_format or _format_of_stderr()))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # Libraries at work speak of what they work on: only their warnings are heard.
    levels = {"": logging.WARNING, "uvicorn": logging.INFO, "service": logging.DEBUG}
    before = {name: logging.getLogger(name).level for name in levels}
    hook, raises = threading.excepthook, logging.raiseExceptions
    for name, least in levels.items():
        logging.getLogger(name).setLevel(max(level, least))
    logging.getLogger().addHandler(handler)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # such reports hold a line's arguments
    threading.excepthook = _on_death
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    try:
        yield
    finally:
        transformers_logging.disable_propagation()
        transformers_logging.enable_default_handler()
        threading.excepthook, logging.raiseExceptions = hook, raises
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(handler)
        for name, least in before.items():
            logging.getLogger(name).setLevel(least)


def formatter(form: str, *, colours: bool | None = None) -> logging.Formatter:
    """`form` is `json` or `console`."""
    if form == "json":
        return _Formatter(processors=[_entry, structlog.processors.JSONRenderer(), _without_delete])
    colours = sys.stderr.isatty() if colours is None else colours
    return _Formatter(processors=[_entry, _escaped, structlog.dev.ConsoleRenderer(colors=colours)])


class _Formatter(ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        """Errors among a line's arguments are told as those that were raised."""
        if isinstance(record.args, tuple):
            record = copy(record)
            record.args = tuple(
                told(arg) if isinstance(arg, BaseException) else arg for arg in record.args or ()
            )
        return super().format(record)


def _entry(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A line's fields, in their order."""
    record: logging.LogRecord = event["_record"]
    entry = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event["event"],
    }
    if correlation_id.get() is not None:
        entry["request_id"] = correlation_id.get()
    span = get_current_span().get_span_context()
    if span.is_valid:
        entry["trace_id"] = format_trace_id(span.trace_id)
        entry["span_id"] = format_span_id(span.span_id)
    entry |= {name: vars(record)[name] for name in FACTS if name in vars(record)}
    error = event.get("exc_info", (None, None, None))[1]
    if error is not None:
        entry["exception"] = traced(error)
    return entry


def _escaped(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Control characters and bidi marks rule no terminal; those of JSON are escaped anyway."""
    return {
        name: "\n".join(map(escape, value.split("\n"))) if name == "exception" else escape(value)
        for name, value in event.items()
    }


def escape(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)


def _without_delete(_logger: Any, _method: str, line: Any) -> str:
    """The one control character that JSON lets pass."""
    return str(line).replace("\x7f", "\\u007f")


def _on_death(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread else "unknown"
    error = arguments.exc_value
    logging.getLogger(__name__).critical("the thread %s has died", name, exc_info=error)


def _format_of_stderr() -> str:
    return "console" if sys.stderr.isatty() else "json"
