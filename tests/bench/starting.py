"""A server's start from a long log: 10,000 edits in 500 batches."""

import tempfile
import time
from pathlib import Path

import torch
from rich.progress import Progress

from service.domain.batches import BatchMetrics, BatchTimings
from service.domain.edits import Correction
from service.editing.changes import encode
from service.editing.codebook import Codebook, Rule, Site, Target
from service.editing.codebook_change import CodebookChange
from service.editing.grace import GraceHyperparameters
from service.editing.hyperparameters import hyperparameters_of
from service.editing.overlays import BASE_CHECKSUM
from service.editing.preset_files import bundled_preset
from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model
from service.operations.overlays import Overlays
from service.operations.snapshots import Snapshots
from service.settings import Settings
from service.storage.artifacts import ArtifactStore
from service.storage.database import Database, open_database
from service.storage.leases import Leases
from service.storage.log import AppliedBatch, EditOutcome, Log
from service.storage.queue import EditQueue
from tests.bench.figure import Figure

BATCHES = 500
EDITS = 20  # of each
MOST_S = 5.0


def run(progress: Progress) -> list[Figure]:
    loaded = load_model("atlas", None, "cpu", "float32")
    with tempfile.TemporaryDirectory() as name:
        database = open_database(Settings(data_dir=Path(name)).resolved_database_url)
        artifacts = ArtifactStore(Path(name) / "artifacts")
        _write(loaded, database, artifacts, progress)
        engine = Engine(loaded)
        started = time.perf_counter()
        Overlays(Log(database), artifacts, engine).start()
        seconds = time.perf_counter() - started
        engine.stop()
        database.close()
    what = f"start from {BATCHES * EDITS:,} edits in {BATCHES} batches, beside loading the model"
    return [Figure("starting", what, seconds, "s", most=MOST_S)]


def _write(
    loaded: LoadedModel, database: Database, artifacts: ArtifactStore, progress: Progress
) -> None:
    """As the worker would, with targets that nobody optimised."""
    parameters = hyperparameters_of(loaded.model, "grace", bundled_preset("atlas").of("grace"))
    assert isinstance(parameters, GraceHyperparameters)
    site = Site(parameters.layer, parameters.module, parameters.replacement)
    width = loaded.model.config.get_text_config().hidden_size
    generator = torch.Generator().manual_seed(0)
    log, queue = Log(database), EditQueue(database)
    log.open(loaded.name, loaded.fingerprint, BASE_CHECKSUM)
    snapshots = Snapshots(log, artifacts, Settings().snapshot_every)
    lease = Leases(database, seconds=3_600).take("bench")
    assert lease is not None
    state = Codebook.empty()
    for batch in progress.track(range(BATCHES), description="writing a log"):
        corrections = [Correction(f"{batch} {i}", "new", "grace") for i in range(EDITS)]
        queue.submit(
            corrections, actor="bench", idempotency_key=None, body_hash="", max_depth=EDITS
        )
        edits = queue.claim(lease, EDITS)
        keys = torch.randn(EDITS, 1, width, generator=generator) * 100
        values = torch.randn(EDITS, 1, width, generator=generator)
        targets = tuple(
            Target(edit.id, key, value, ((edit.id % loaded.vocabulary,),), (0,))
            for edit, key, value in zip(edits, keys, values, strict=True)
        )
        grown = state.insert(site, targets, Rule(parameters.radius))
        change = CodebookChange(site, targets, grown.difference(state))
        applied = AppliedBatch(
            editor="grace",
            outcomes={
                edit.id: EditOutcome(None, 0.0, 1.0, verified=True, joint=" ") for edit in edits
            },
            endings={},
            hyperparameters={},
            metrics=BatchMetrics(EDITS, 0, 1.0, None, None),
            timings=BatchTimings(0.0, 0.0, 0.0),
            artifact=artifacts.put(encode(change)),
            checksum=grown.checksum,
        )
        version, _ = log.commit_batch(applied, built_on=batch, lease=lease)
        snapshots.consider(version.version, grown)
        state = grown
