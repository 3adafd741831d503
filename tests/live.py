"""A server that listens on a real socket, in a thread of this process."""

import contextlib
import threading
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.api.dependencies import Services
from service.commands.web import Web
from tests.conftest import built

STARTS_WITHIN_S = 30.0


@dataclass(frozen=True)
class Live:
    port: int
    services: Services
    connections: Set[object]  # that are open

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def listening(folder: Path, **settings: object) -> Iterator[Live]:
    with built(folder, **settings) as (services, app):
        server = Web(app, services, "127.0.0.1", 0)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            give_up = time.monotonic() + STARTS_WITHIN_S
            while not server.started:
                assert time.monotonic() < give_up, "the server did not start"
                time.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Live(port, services, server.server_state.connections)
        finally:
            server.should_exit = True
            thread.join()


def without_ends(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model never ends a text by itself."""
    monkeypatch.setattr(live.services.engine._generator, "_ends", frozenset())


def unfinished(live: Live) -> int:
    """How many texts the engine is at, those that wait included."""
    return len(live.services.engine._generator._unfinished)
