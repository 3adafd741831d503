"""A key's use is written behind the requests, and seldom."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from service.operations import key_use
from service.operations.key_use import KeyUse
from service.storage.database import Database, now
from service.storage.keys import KeyRing


class Recorder(KeyRing):
    """Remembers what is written; fails as often as it is told to."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.writes: list[set[int]] = []
        self.failures = 0

    def used(self, moments: Mapping[int, datetime]) -> None:
        if self.failures:
            self.failures -= 1
            raise OperationalError("", {}, Exception("the disk is full"))
        self.writes.append(set(moments))


@pytest.fixture
def keys(tmp_path: Path) -> Recorder:
    return Recorder(Database(f"sqlite:///{tmp_path / 'errata.db'}"))


def test_once_a_minute_each(keys: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    start, passed = now(), 0.0
    monkeypatch.setattr(key_use, "now", lambda: start + timedelta(seconds=passed))
    use = KeyUse(keys)
    for second in range(130):
        passed = second
        use.note(1)
        if second == 59:
            use.note(2)
        use.write()
    assert keys.writes == [{1}, {2}, {1}, {1}]


def test_what_could_not_be_written_is_tried_again(keys: Recorder) -> None:
    keys.failures = 1
    use = KeyUse(keys)
    use.note(1)
    use.write()
    assert keys.writes == []
    use.write()
    use.write()
    assert keys.writes == [{1}]


def test_the_last_uses_are_written_at_the_end(keys: Recorder) -> None:
    use = KeyUse(keys)
    use.start()
    use.note(7)
    use.stop()
    assert keys.writes == [{7}]
