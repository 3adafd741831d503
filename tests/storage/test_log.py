"""The way back through the log."""

import pytest
from sqlalchemy import func, insert, select

from service.domain.effects import Effect
from service.domain.probes import ProbeChange
from service.domain.versions import VersionKind
from service.editing.overlays import BASE_CHECKSUM
from service.errors import NotFoundError, StartupError
from service.storage.database import Database, now
from service.storage.log import PAGE, Log
from service.storage.tables import StoreRow, VersionRow
from tests.storage.batches import opened
from tests.storage.logs import CHANGED

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


def test_the_probes_that_a_version_changed(database: Database) -> None:
    """None asked and none changed are two things."""
    log = opened(database)
    given: list[tuple[ProbeChange, ...] | None] = [None, (), CHANGED]
    for version, changed in enumerate(given):
        log.commit_change(
            VersionKind.ROLLBACK,
            effect=Effect(),
            edit_ids=(),
            built_on=version,
            parent=0,
            artifact=None,
            checksum="base",
            actor="key:1",
            reason="a test",
            changed_probes=changed,
        )
    assert [log.changed_probes(version) for version in range(4)] == [None, *given]
    with database.read() as session:
        assert session.scalar(select(func.count(VersionRow.changed_probes))) == 2


ONE, OTHER = "a" * 64, "b" * 64


def begin(database: Database, chat_template: str | None) -> str | None:
    """Opens the log with a chat template; the one that it is then held to."""
    Log(database).open("model", "f" * 64, BASE_CHECKSUM, chat_template)
    with database.read() as session:
        return session.get_one(StoreRow, 1).chat_template


def test_a_log_is_held_to_its_chat_template(database: Database) -> None:
    assert begin(database, ONE) == ONE
    assert begin(database, ONE) == ONE
    assert begin(database, None) == ONE  # of one who does not know it
    with pytest.raises(StartupError, match="with the chat template aaaaaaaaaaaa, but 'model' has "):
        begin(database, OTHER)
    with pytest.raises(StartupError, match="but 'model' has no chat template: a chat would be"):
        begin(database, "")
    assert begin(database, ONE) == ONE


def test_a_log_from_before_takes_the_first_template_that_it_sees(database: Database) -> None:
    assert begin(database, None) is None
    assert begin(database, "") == ""
    with pytest.raises(StartupError, match="with no chat template, but 'model' has the chat temp"):
        begin(database, ONE)
