"""Durable intake: edits queued a second, against the same rows inserted by bare SQLAlchemy in the
same transactions, by how many come in one request.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.progress import Progress
from sqlalchemy import insert
from sqlalchemy.orm import Session

from service.domain.edits import Correction
from service.domain.states import EditState
from service.storage.database import Database, now, open_database
from service.storage.queue import EditQueue
from service.storage.tables import EditRow, EventRow, SubmissionRow
from tests.bench.figure import Figure
from tests.postgresql import running

BY = (1, 10, 100)  # edits of one request
REQUESTS = {1: 200, 10: 100, 100: 40}  # of one round
ROUNDS = 5
WANTED = 0.5
Intake = Callable[[Sequence[Correction]], None]


def run(progress: Progress) -> list[Figure]:
    figures = []
    with _databases() as databases:
        for name, database in databases.items():
            for by in progress.track(BY, description=f"intake, {name}"):
                ours, bare = _paces(database, by)
                what = f"edits queued on {name}, {by} a request"
                figures.append(Figure("intake", what, ours, "edits/s", bare, WANTED))
    return figures


@contextmanager
def _databases() -> Iterator[dict[str, Database]]:
    with tempfile.TemporaryDirectory() as folder, running(durable=True) as cluster:
        databases = {
            "SQLite": open_database(f"sqlite:///{Path(folder) / 'errata.db'}"),
            "PostgreSQL": open_database(cluster.new_log()),
        }
        yield databases
        for database in databases.values():
            database.close()


def _paces(database: Database, by: int) -> tuple[float, float]:
    """Edits a second, of ours and of the baseline; both in turn."""
    queue = EditQueue(database)

    def ours(corrections: Sequence[Correction]) -> None:
        queue.submit(
            corrections, actor="bench", idempotency_key=None, body_hash="", max_depth=10**9
        )

    def bare(corrections: Sequence[Correction]) -> None:
        with Session(database.engine) as session, session.begin():
            _insert(session, corrections)

    found: dict[Intake, list[float]] = {ours: [], bare: []}
    for _ in range(ROUNDS):
        for intake, paces in found.items():
            paces.append(_pace(intake, by))
    return median(found[ours]), median(found[bare])


def _pace(intake: Intake, by: int) -> float:
    corrections = [Correction(f"The currency of {i} is the", "euro", "grace") for i in range(by)]
    started = time.perf_counter()
    for _ in range(REQUESTS[by]):
        intake(corrections)
    return REQUESTS[by] * by / (time.perf_counter() - started)


def _insert(session: Session, corrections: Sequence[Correction]) -> None:
    """A submission, its edits and their events, and nothing else."""
    moment = now()
    submission = session.scalars(
        insert(SubmissionRow).returning(SubmissionRow.id),
        {"actor": "bench", "idempotency_key": None, "body_hash": "", "created_at": moment},
    ).one()
    edits = [
        {
            "submission_id": submission,
            "submitted_by": "bench",
            "editor": one.editor,
            "prompt": one.prompt,
            "target_new": one.target_new,
            "paraphrases": [],
            "neighborhood": [],
            "client_metadata": {},
            "priority": 0,
            "format": "plain",
            "hyperparameters": "{}",
            "warnings": [],
            "status": EditState.QUEUED,
            "attempts": 0,
            "created_at": moment,
            "updated_at": moment,
        }
        for one in corrections
    ]
    ids = session.scalars(insert(EditRow).returning(EditRow.id), edits).all()
    events = [
        {"edit_id": i, "to_status": EditState.QUEUED, "actor": "bench", "created_at": moment}
        for i in ids
    ]
    session.execute(insert(EventRow), events)
