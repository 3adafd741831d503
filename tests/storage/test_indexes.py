"""The worker's queries go by indexes: a long log and a long queue slow no batch down."""

from typing import Any

from sqlalchemy import event

from service.domain.edits import Correction
from service.domain.leases import Lease
from service.storage.database import Database
from service.storage.queue import EditQueue
from tests.storage.batches import applied, opened

LONGEST = 65_536  # characters of a prompt
SLOW = ("SCAN edits", "SCAN batches", "USE TEMP")


def plans(database: Database) -> list[str]:
    """Of what is asked of an SQLite database from now on."""
    found: list[str] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def explain(connection: Any, _cursor: Any, sql: str, parameters: Any, *_: Any) -> None:
        if sql.startswith("SELECT") and ("FROM edits" in sql or "FROM batches" in sql):
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            found.extend(step[3] for step in cursor.fetchall())
            cursor.close()

    return found


def test_claims_and_commits_look_through_no_table(database: Database, lease: Lease) -> None:
    queue, log = EditQueue(database), opened(database)
    steps = [] if database.is_shared else plans(database)
    # The first is longer than what an index of PostgreSQL's takes otherwise.
    prompts = ["a" * LONGEST, *map(str, range(31))]
    for last, target in enumerate(("lev", "euro")):
        queue.submit(
            [Correction(prompt, target, "grace") for prompt in prompts],
            actor="key:1",
            idempotency_key=None,
            body_hash="",
            max_depth=64,
        )
        edits = queue.claim(lease, 32)
        log.commit_batch(applied(*edits), built_on=last, lease=lease)
    assert queue.get(33).supersedes == 1
    first = log.first_at_work()
    assert first is not None
    assert first.id == 1
    if not database.is_shared:
        assert "SEARCH edits USING INDEX ix_edits_prompt (prompt=?)" in steps
        assert "SEARCH batches USING INDEX ix_batches_status_id (status=?)" in steps
        assert not [step for step in steps if step.startswith(SLOW)]
