"""GRACE on atlas: 500 counterfactual edits through the whole server, against the plain loop."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from service.api.dependencies import Services
from service.app import build
from service.atlas import EDITS_FILE
from service.domain.edits import Correction, Edit
from service.domain.states import EditState
from service.editing.grace import Grace
from service.editing.requests import EditRequest
from service.evaluation.asking import figures_of
from service.evaluation.datasets import Record, read_records
from service.operations.wording import Pair, Wording
from service.settings import Settings
from service.storage.database import open_database
from tests.bench import plain_grace
from tests.bench.figure import Figure
from tests.bench.pace import paced
from tests.models import atlas_grace
from tests.phrased import request_of

EDITS = 500
BATCH = 32
PLAIN_EDITS = 16  # enough to know the speed of a loop that treats all edits alike


def run(progress: Progress) -> list[Figure]:
    records = read_records(EDITS_FILE, EDITS)
    with _services() as services:
        loaded = services.engine.loaded
        applied, seconds = _apply(services, records, progress)
        verified = sum(bool(edit.verified) for edit in applied) / len(applied)
        found = figures_of(services.engine, services.overlays.current.overlay, records)

        editor = Grace(loaded.model, replace(atlas_grace(), stop_loss=0.0))
        requests = [_request(services, number, r) for number, r in enumerate(records[:BATCH])]
        task = progress.add_task("plain loop", total=None)
        some = requests[:PLAIN_EDITS]
        plain = 1 / plain_grace.pace(loaded.model, editor.hyperparameters, some).edit
        all_steps = 1 / paced(editor, None, requests).targets
        progress.remove_task(task)

    return [
        _share("efficacy, after its own batch", verified, 0.99),
        _share("ES, at the end", found.efficacy, 0.99),
        _share("ERR, at the end", found.efficacy_exact, 0.98),
        _share("neighbourhood, whole answers kept", found.neighborhood_exact, 0.99),
        Figure("grace", "edits applied by the server", EDITS / seconds, "edits/s", plain, 10),
        Figure("grace", "edits optimised, all steps", all_steps, "edits/s", plain, 10),
    ]


@contextmanager
def _services() -> Iterator[Services]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(model="atlas", data_dir=Path(folder), dtype="float32", max_batch=BATCH)
        database = open_database(settings.resolved_database_url)
        services, at_work = build(settings, database)
        for one in at_work:
            one.start()
        yield services
        for one in at_work:
            one.stop()
        database.close()


def _apply(
    services: Services, records: list[Record], progress: Progress
) -> tuple[list[Edit], float]:
    """Hands all records in at once; returns the settled edits and the seconds that it took."""
    corrections = [Correction(record.prompt, record.target_new, "grace") for record in records]
    task = progress.add_task("grace, applied by the server", total=len(records))
    started = time.perf_counter()
    queued = services.intake.submit(
        corrections, actor="bench", idempotency_key=None, body_hash="bench"
    )
    while True:
        edits, _ = services.insights.edits(
            owner=None,
            after=0,
            limit=len(queued),
            status=None,
            batch_id=None,
            submitted_with=queued[0].id,
        )
        done = sum(edit.status not in (EditState.QUEUED, EditState.APPLYING) for edit in edits)
        progress.update(task, completed=done)
        if done == len(queued):
            return edits, time.perf_counter() - started
        time.sleep(0.05)


def _share(name: str, share: float | None, wanted: float) -> Figure:
    return Figure("grace", name, share or 0.0, "", wanted=wanted)


def _request(services: Services, number: int, record: Record) -> EditRequest:
    (pair,) = Wording(services.engine).continuations([Pair(record.prompt, record.target_new)])
    return request_of(number, [pair.prompt], [pair.target])
