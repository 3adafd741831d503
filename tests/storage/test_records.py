"""Records have the columns of their tables, and come back from a database as they went in."""

from service.domain.edits import Correction
from service.storage.contents import contents
from service.storage.database import Database
from service.storage.queue import EditQueue
from service.storage.records import TABLES, EditRecord, EventRecord
from service.storage.tables import ApiKeyRow, KeyEventRow, LeaseRow, Table

SMILE = "\U0001f642"


def test_every_table_but_keys_and_lease_has_a_record_with_its_columns() -> None:
    assert set(TABLES.values()) == {mapper.class_ for mapper in Table.registry.mappers} - {
        ApiKeyRow,
        KeyEventRow,
        LeaseRow,
    }
    for record, table in TABLES.items():
        assert list(record.model_fields) == [column.name for column in table.__table__.columns]


def test_rows_are_read_as_records(database: Database) -> None:
    queue = EditQueue(database)
    given = Correction(prompt=SMILE, target_new="b", editor="grace", metadata={"a": [1, None]})
    (edit,) = queue.submit(
        [given], actor="key:1", idempotency_key=None, body_hash="h", max_depth=10
    )
    faults: list[str] = []
    with contents(database) as rows:
        (found,) = rows.of(EditRecord, faults.append)
        (event,) = rows.of(EventRecord, faults.append)
        assert (rows.count(EditRecord), faults) == (1, [])
    assert (found.prompt, found.client_metadata) == (SMILE, {"a": [1, None]})
    assert (found.created_at, found.status) == (edit.created_at, edit.status)
    assert event.edit_id == edit.id
