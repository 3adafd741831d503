"""A change of history that names more batches and edits than one query may."""

from sqlalchemy import func, insert, select

from service.domain.effects import Effect, Members
from service.domain.states import BatchState, EditState
from service.domain.versions import VersionKind
from service.storage.database import Database, now
from service.storage.tables import BatchRow, EditRow, EventRow, SubmissionRow, VersionRow
from tests.storage.batches import opened

MANY = 66_000  # PostgreSQL takes 65,535 parameters in a query


def test_many_batches_are_rolled_back_at_once(database: Database) -> None:
    log = opened(database)
    _apply(database)
    everything = tuple(range(1, MANY + 1))
    assert log.batch_of(everything) == dict(zip(everything, everything, strict=True))
    assert log.edits_of(everything) == {number: (number,) for number in everything}
    gone = Members(everything, everything[:2000])  # all edits take half a minute
    version = log.commit_change(
        VersionKind.ROLLBACK,
        effect=Effect(rolled_back=gone),
        edit_ids=(),
        built_on=1,
        parent=0,
        artifact=None,
        checksum="base",
        actor="key:1",
        reason="all of it",
    )
    assert version.batch_ids == everything
    with database.read() as session:
        batches = select(func.count()).where(BatchRow.status == BatchState.ROLLED_BACK)
        edits = select(func.count()).where(EditRow.status == EditState.ROLLED_BACK)
        assert (session.scalar(batches), session.scalar(edits)) == (MANY, 2000)
        assert session.scalar(select(func.count(EventRow.edit_id))) == 2000


def _apply(database: Database) -> None:
    """An edit and a batch of it, many times."""
    moment = now()
    version = {
        "kind": "apply",
        "batch_ids": [],
        "edit_ids": [],
        "parent": 0,
        "artifact": "artifact",
    }
    made = {"checksum": "checksum", "actor": "worker", "created_at": moment}
    batch = {"editor": "grace", "status": "applied", "version": 1, "artifact": "artifact"}
    told = {"hyperparameters": {}, "metrics": {}, "timings": {}, "created_at": moment}
    edit = {"submission_id": 1, "submitted_by": "key:1", "editor": "grace", "prompt": "a"}
    given = {"target_new": "b", "paraphrases": [], "neighborhood": [], "client_metadata": {}}
    went = {"priority": 0, "format": "plain", "hyperparameters": "{}", "warnings": []}
    ended = {"status": "applied", "attempts": 1, "created_at": moment, "updated_at": moment}
    submission = {"id": 1, "actor": "key:1", "body_hash": "h", "created_at": moment}
    numbers = range(1, MANY + 1)
    with database.write() as session:
        session.execute(insert(VersionRow).values(version=1, **version, **made))
        session.execute(insert(SubmissionRow).values(submission))
        session.execute(
            insert(BatchRow), [{"id": n, "edit_ids": [n], **batch, **told} for n in numbers]
        )
        session.execute(
            insert(EditRow),
            [{"id": n, "batch_id": n, **edit, **given, **went, **ended} for n in numbers],
        )
