"""Servers hear of each other's writes, and go on hearing when their connection breaks."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from service.storage import listening
from service.storage.database import CHANNEL, Database
from service.storage.listening import Listener
from tests.postgresql import Cluster

SOON_S = 10.0  # on a busy machine


@pytest.fixture
def shared(postgresql: Cluster) -> Iterator[Database]:
    database = Database(postgresql.new_log())
    yield database
    database.close()


@pytest.fixture
def heard(shared: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    monkeypatch.setattr(listening, "TROUBLE_S", 0.05)
    event = threading.Event()
    listener = Listener(shared, event.set)
    listener.start()
    assert event.wait(SOON_S)  # it listens
    event.clear()
    yield event
    listener.stop()


def test_writes_are_heard(shared: Database, heard: threading.Event) -> None:
    with shared.write():
        assert not heard.wait(0.2)  # not before the commit
    assert heard.wait(SOON_S)
    heard.clear()
    with shared.write(quiet=True):
        pass
    with pytest.raises(ZeroDivisionError), shared.write():
        raise ZeroDivisionError
    assert not heard.wait(0.2)


def test_a_broken_connection_is_made_anew(shared: Database, heard: threading.Event) -> None:
    kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE :listens")
    with shared.engine.begin() as connection:
        assert connection.execute(kill, {"listens": f"LISTEN {CHANNEL}%"}).all() == [(True,)]
    assert heard.wait(SOON_S)  # as it begins anew: what was said meanwhile was not heard
    heard.clear()
    with shared.write():
        pass
    assert heard.wait(SOON_S)
