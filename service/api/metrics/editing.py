"""What the worker does: the queue, batches, the log, the lease."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from service.api.metrics.families import counter, counters, gauge, gauges, histograms
from service.domain.ports import Running
from service.domain.states import EditState
from service.domain.versions import VersionKind
from service.editing.codebook import Codebook
from service.editing.entity.book import EntityBook
from service.operations.overlays import Overlays
from service.operations.phases import Phases
from service.operations.probes import Probes
from service.storage.census import Census, Count
from service.storage.database import STORAGE_TROUBLE

NOTHING = Count({}, 0.0, {})


def editing(
    phases: Phases, probes: Probes, overlays: Overlays, worker: Running | None
) -> Iterator[Metric]:
    yield histograms(
        "errata_batch_phase_seconds",
        "of this server's batches, by `phase`: `targets`, `insert`, `verify`",
        ("phase",),
        {(phase,): seconds for phase, seconds in phases.seconds.items()},
    )
    yield counters(
        "errata_probes_changed",
        "probes whose answers versions of this server changed, by `broken`: `true` where what they "
        "expect is no longer said",
        ("broken",),
        {(str(broken).lower(),): count for broken, count in probes.changed.items()},
    )
    yield counter(
        "errata_probes_refused_edits",
        "edits that failed for the probes that they would have broken",
        probes.refused,
    )
    current = overlays.current
    state = current.state
    entries = len(state) if isinstance(state, Codebook | EntityBook) else 0
    yield gauge("errata_version", "the version that answers", current.version)
    yield gauge("errata_codebook_entries", "of that version", entries)
    lease = None if worker is None else worker.lease
    yield gauge("errata_lease_held", "1: this server applies edits; 0: it follows", bool(lease))
    yield gauge(
        "errata_lease_token",
        "the lease's fencing token, where it is held",
        None if lease is None else lease.token,
    )


def stored(census: Census) -> Iterator[Metric]:
    """Of all servers on the database. While it does not answer, the other metrics still do."""
    try:
        count, up = census.take(), True
    except STORAGE_TROUBLE:
        count, up = NOTHING, False
    yield gauge("errata_database_up", "1: the database answers", up)
    queued = sum(n for (state, _), n in count.edits.items() if state is EditState.QUEUED)
    yield gauge("errata_queue_depth", "edits that wait", queued if up else None)
    yield gauge(
        "errata_queue_oldest_age_seconds",
        "how long the oldest of them has waited",
        count.oldest_queued_s if up else None,
    )
    yield gauges(
        "errata_edits",
        "edits in the database, by `state` and `editor`",
        ("state", "editor"),
        {(state.value, editor): n for (state, editor), n in count.edits.items()},
    )
    made = [kind for kind in VersionKind if kind is not VersionKind.BASE] if up else []
    yield counters(
        "errata_versions",
        "versions in the log, by `kind`: `apply`, `rollback`, `restore`, `repair`",
        ("kind",),
        {(kind.value,): count.versions.get(kind, 0) for kind in made},
    )
