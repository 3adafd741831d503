"""What is traced where the operator asks for it (`service.tracing`), by OpenTelemetry's API;
without a tracer all of this does nothing.

Attributes are ids, numbers and our own words, never what a client sent. Of an error the type alone
is told: its message may quote a request.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
)

from service.engine.counts import Ending
from service.engine.running import Run

MOST_QUEUED = 10_000  # edits whose requests are remembered until they are applied


class Spans:
    def __init__(self, tracer: Tracer | None = None) -> None:
        self._on = tracer is not None
        self._tracer = tracer or NoOpTracer()
        self._lock = threading.Lock()
        self._queued: dict[int, SpanContext] = {}  # the requests' spans, by edit

    @contextmanager
    def span(
        self,
        name: str,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
    ) -> Iterator[Span]:
        """A span over the block, current in it: spans and lines of the log there belong to it."""
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> AbstractContextManager[Span]:
        """The span of a request, a child of its caller's if `headers` name one."""
        parent = None
        if self._on:
            given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            parent = propagate.extract(given)
        return self.span("request", parent, SpanKind.SERVER)

    def queued(self, edit_ids: Iterable[int]) -> None:
        """The current request has queued these; a batch that has begun with them is not linked."""
        context = get_current_span().get_span_context()
        if not (self._on and context.is_valid):
            return
        with self._lock:
            self._queued |= dict.fromkeys(edit_ids, context)
            for edit_id in list(self._queued)[:-MOST_QUEUED]:
                del self._queued[edit_id]

    def batch(self, edit_ids: Iterable[int]) -> AbstractContextManager[Span]:
        """The span of a batch, linked to the requests to this server that queued its edits."""
        with self._lock:
            found = [self._queued.pop(edit_id, None) for edit_id in edit_ids]
        requests = {context.span_id: context for context in found if context is not None}
        return self.span("batch", links=[Link(context) for context in requests.values()])

    def text(self, run: Run, version: int, parent: Context, *, failed: bool) -> None:
        """The span of one text, which has ended or is given up."""
        if not self._on:
            return
        ending = run.ended or (Ending.ERROR if failed else Ending.ABORT)
        ended_at = run.last_token_at if run.ended else None
        span = self._tracer.start_span(
            "generation",
            parent,
            attributes={
                "errata.version": version,
                "gen_ai.usage.input_tokens": len(run.wanted.prompt),
                "gen_ai.usage.output_tokens": len(run.choices),
                "gen_ai.response.finish_reasons": [str(ending)],
            },
            start_time=_wall_ns(run.asked_at),
        )
        if run.first_token_at is not None:
            seconds = run.first_token_at - run.asked_at
            span.add_event(
                "first token",
                {"gen_ai.response.time_to_first_chunk": seconds},
                _wall_ns(run.first_token_at),
            )
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end(_wall_ns(ended_at or time.monotonic()))


def _wall_ns(at: float) -> int:
    """A time of the clock `time.monotonic`, in nanoseconds of the wall clock."""
    return time.time_ns() - int((time.monotonic() - at) * 1e9)
