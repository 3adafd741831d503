"""The composition root: builds every part and wires them together."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence

from anyio.to_thread import current_default_thread_limiter
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import Tracer

from service import __version__
from service.api import admin, ask, documentation, edits, events, log, openapi, operating, problems
from service.api.admission import Admission
from service.api.arrival import Arrival
from service.api.bounds import BodyLimit
from service.api.dependencies import Services
from service.api.headers import SecurityHeaders, allow_origins
from service.api.lanes import Lanes
from service.api.limits import KeyLimits, Places
from service.api.metrics import routes as metrics_routes
from service.api.metrics.registry import Metrics
from service.api.observing import Observing
from service.api.openai import routes as openai_routes
from service.api.readiness import Readiness
from service.domain.ports import Working
from service.editing.overlays import BASE_CHECKSUM
from service.editing.preset_files import Preset, read_preset
from service.editing.splitting import Splitting
from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model
from service.errors import InvalidRequestError, StartupError
from service.operations.apply import Apply
from service.operations.ask import Ask, AskLimits
from service.operations.codebook_radii import CodebookRadii
from service.operations.comparing import Comparing
from service.operations.dry_run import DryRun
from service.operations.edge_entries import tell_edge_entries
from service.operations.editors import Editors
from service.operations.family import Family
from service.operations.feed import Feed
from service.operations.following import Following
from service.operations.health import Health
from service.operations.history import History
from service.operations.insights import Insights
from service.operations.intake import EditLimits, Intake
from service.operations.key_use import KeyUse
from service.operations.making import Making
from service.operations.overlays import Overlays
from service.operations.preparation import Preparation
from service.operations.probe_checks import ProbeChecks
from service.operations.probe_file import read_probes
from service.operations.probes import Probes
from service.operations.reading import Reading
from service.operations.relation_spaces import RelationSpaces
from service.operations.replay import Replay
from service.operations.snapshots import Snapshots
from service.operations.spans import Spans
from service.operations.statistics import Statistics
from service.operations.sweeping import sweep
from service.operations.wakeups import Wakeups
from service.operations.wording import Wording
from service.settings import Role, Settings
from service.storage.artifacts import ArtifactStore
from service.storage.census import Census
from service.storage.database import Database
from service.storage.events import Events
from service.storage.keys import KeyRing
from service.storage.leases import Leases
from service.storage.listening import Listener
from service.storage.log import Log
from service.storage.queue import EditQueue
from service.storage.statistics import StatisticsStore
from service.worker.worker import Worker

DESCRIPTION = "Corrections to a language model: queued, applied in batches, logged, undone exactly."
# FastAPI's own spans hold paths and queries, and so prompts: `service.api.observing` makes ours.
UNTRACED = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)
THREADS = 16  # for short calls that wait for the database; long ones have lanes of their own
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def load(settings: Settings) -> LoadedModel:
    """The model. Raises `StartupError` with the reason if it can't be loaded."""
    return load_model(
        settings.model,
        settings.revision,
        settings.device,
        settings.dtype,
        device_map=settings.device_map,
        attn_implementation=settings.attn_implementation,
        quantization=settings.quantization,
    )


def build(
    settings: Settings, database: Database, tracer: Tracer | None = None
) -> tuple[Services, list[Working]]:
    """Loads the model and the log; what is returned beside the services is to work while they are
    served. Raises `StartupError` with the reason if either can't be loaded. What happens is told to
    `tracer`.
    """
    spans = Spans(tracer)
    # Before the model loads, as what is wrong with a file is told at once.
    probe_file = None if settings.probes is None else read_probes(settings.probes)
    loaded = load(settings)
    engine = Engine(
        loaded,
        longest_text=settings.max_prompt_tokens + settings.max_new_tokens,
        cache_tokens=settings.cache_tokens,
        most_texts=settings.max_generations,
        editing_share=settings.editing_share,
    )
    probes = Probes(engine, probe_file, settings.max_probes_changed, settings.max_prompt_tokens)
    editors, statistics = build_editors(settings, engine)
    queue = EditQueue(database)
    store = Log(database)
    artifacts = ArtifactStore(settings.artifacts)
    artifacts.check()
    wakeups = Wakeups()
    overlays = Overlays(store, artifacts, engine)
    artifacts.belong_to(
        store.open(loaded.name, loaded.fingerprint, BASE_CHECKSUM, loaded.chat_template)
    )
    overlays.start()
    tell_edge_entries(store, queue, overlays, Reading(artifacts, loaded.shape))
    sweep(database, artifacts)
    family = Family(editors, store, overlays)
    health = Health(engine, statistics, settings.max_perplexity_ratio)
    making = Making(engine, Wording(engine), health, ProbeChecks(engine, probes, spans), spans)
    apply = Apply(
        engine,
        editors,
        family,
        making,
        probes,
        overlays,
        queue,
        store,
        artifacts,
        Snapshots(store, artifacts, settings.snapshot_every),
        wakeups,
        spans,
    )
    worker = Worker(
        Leases(database, settings.lease_s),
        queue,
        apply,
        Preparation(editors, settings.editor),
        wakeups,
        engine.editing_pulse,
        max_batch=settings.max_batch,
        linger_ms=settings.linger_ms,
    )
    following = Following(overlays, wakeups) if database.is_shared else None
    keys = KeyRing(database)
    key_use = KeyUse(keys)
    at_work: list[Working] = [key_use]
    if following is not None:
        at_work += [following, Listener(database, wakeups.announce)]
    applying = None if settings.role is Role.API else worker
    if applying is not None:
        at_work.append(applying)
    insights = Insights(queue, store, wakeups, engine.hits)
    services = Services(
        settings=settings,
        engine=engine,
        overlays=overlays,
        intake=Intake(
            engine,
            queue,
            wakeups,
            editors,
            family,
            EditLimits(
                settings.max_prompt_tokens, settings.max_target_tokens, settings.max_queue_depth
            ),
            spans,
        ),
        dry_run=DryRun(engine, editors, family, making, overlays, settings.max_batch),
        ask=Ask(
            engine,
            overlays,
            AskLimits(
                settings.max_prompt_tokens, settings.max_target_tokens, settings.max_new_tokens
            ),
            spans,
        ),
        history=History(
            Replay(engine, editors, store, artifacts, overlays),
            family,
            Comparing(engine, settings.max_generations),
            probes,
            store,
            queue,
            artifacts,
            overlays,
            wakeups,
        ),
        insights=insights,
        feed=Feed(Events(database), wakeups),
        keys=keys,
        key_use=key_use,
        limits=KeyLimits(settings.rate_limit, settings.max_concurrent_per_key),
        lanes=Lanes.of(settings.max_generations, settings.max_waiting),
        worker=applying,
        readiness=Readiness(applying, following, engine, insights),
        metrics=Metrics(engine, overlays, Census(database), apply.phases, probes, applying),
        spans=spans,
    )
    return services, at_work


def build_editors(settings: Settings, engine: Engine) -> tuple[Editors, Statistics]:
    """Raises `StartupError` for a preset or a text file that does not fit the model."""
    store = StatisticsStore(settings.data_dir / "statistics", engine.loaded.fingerprint)
    statistics = Statistics(engine, store, settings.statistics_text, settings.dynamic_multiplier)
    splitting = Splitting(settings.max_tokens_per_step)
    spaces = RelationSpaces(engine, store, splitting)
    radii = CodebookRadii(engine, store, splitting)
    preset = Preset() if settings.preset is None else read_preset(settings.preset)
    try:
        editors = Editors(engine, statistics, spaces, radii, preset, settings.max_tokens_per_step)
    except InvalidRequestError as error:
        raise StartupError(
            f"the preset {settings.preset} does not fit the model: {error}"
        ) from error
    statistics.check(editors.layers(settings.editor))
    return editors, statistics


def create_app(services: Services, at_work: Sequence[Working]) -> FastAPI:
    """The HTTP application; its lifespan is that of what is `at_work`."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        for one in at_work:
            one.start()
        yield
        services.leave_off()
        # In threads: the event loop sees to what ends them, should they take too long.
        await asyncio.to_thread(services.engine.drain, services.settings.shutdown_s)
        await asyncio.to_thread(services.engine.stop)
        for one in reversed(at_work):
            await asyncio.to_thread(one.stop)

    app = FastAPI(
        title="Errata",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry=UNTRACED,
        # A path is right or it is not: a redirection would lead where the Host header says.
        redirect_slashes=False,
    )
    app.state.services = services
    parts = (
        (edits, ask, openai_routes, log, events, admin)
        if services.settings.role is not Role.EDITOR
        else ()
    )
    for part in (*parts, operating, metrics_routes, documentation):
        app.include_router(part.router)
    problems.install(app)
    openapi.install(app)
    app.add_middleware(Places)
    app.add_middleware(BodyLimit, limit=services.settings.max_body_bytes)
    app.add_middleware(Arrival, seconds=services.settings.client_timeout_s)
    app.add_middleware(Admission, most=services.settings.most_requests)
    app.add_middleware(Observing, metrics=services.metrics, spans=services.spans)
    app.add_middleware(
        CorrelationIdMiddleware,
        header_name="X-Request-ID",
        validator=lambda given: REQUEST_ID.fullmatch(given) is not None,
    )
    allow_origins(app, services.settings.allowed_origins)
    app.add_middleware(SecurityHeaders)
    return app
