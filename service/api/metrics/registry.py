"""All metrics of one server. Nothing here is the process's, so that several serve in one."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from service.api.metrics.editing import editing, stored
from service.api.metrics.generation import generation
from service.domain.ports import Running
from service.engine.engine import Engine
from service.operations.overlays import Overlays
from service.operations.phases import Phases
from service.operations.probes import Probes
from service.storage.census import Census

DURATIONS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics(Collector):
    def __init__(
        self,
        engine: Engine,
        overlays: Overlays,
        census: Census,
        phases: Phases,
        probes: Probes,
        worker: Running | None,
    ) -> None:
        self._engine = engine
        self._overlays = overlays
        self._census = census
        self._phases = phases
        self._probes = probes
        self._worker = worker
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "errata_http_requests",
            "requests, by `method`, `route` (its template) and `status`",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "errata_http_request_duration_seconds",
            "from a request's head to the end of its answer, by `method` and `route`",
            ("method", "route"),
            buckets=DURATIONS_S,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was. `method` and `route` are of a few that there are."""
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        yield from generation(self._engine)
        yield from editing(self._phases, self._probes, self._overlays, self._worker)
        yield from stored(self._census)

    def describe(self) -> list[Metric]:
        """None beforehand: nothing is to be counted for that."""
        return []
