"""The way back through the log."""

import pytest
from sqlalchemy import insert

from service.errors import NotFoundError
from service.storage.database import Database, now
from service.storage.log import PAGE
from service.storage.tables import VersionRow
from tests.storage.batches import opened

LAST = 3 * PAGE
RETURN, TO = 2 * PAGE + 5, 7  # a version that is made over a much earlier one


def test_the_way_back_from_a_version(database: Database) -> None:
    log = opened(database)
    rows = [
        {
            "version": number,
            "kind": "apply",
            "batch_ids": [],
            "edit_ids": [],
            "parent": TO if number == RETURN else number - 1,
            "checksum": "",
            "actor": "worker",
            "created_at": now(),
        }
        for number in range(1, LAST + 1)
    ]
    with database.write() as session:
        session.execute(insert(VersionRow), rows)

    back = [version.version for version in log.back_from(LAST)]

    assert back == [*range(LAST, RETURN - 1, -1), *range(TO, -1, -1)]
    with pytest.raises(NotFoundError):
        next(log.back_from(LAST + 1))
