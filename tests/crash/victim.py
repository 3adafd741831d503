"""A server in a process that is forked from one with everything loaded: it starts in no time."""

import contextlib
import multiprocessing
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import uvicorn

from tests.conftest import ADMIN_KEY, built
from tests.crash.points import arm

STARTS_WITHIN_S = 60.0
LEASE_S = 1.0
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["tests.crash.preloaded"])


@dataclass(frozen=True)
class Start:
    """What a server is started on, and where it shall die."""

    folder: Path
    url: str | None = None  # of a database; None: SQLite in the folder
    point: str | None = None
    passes: int = 0


def serve(start: Start, port: Connection) -> None:
    from tests.crash.preloaded import use_it

    use_it()
    settings = {"database_url": start.url, "max_batch": 2, "linger_ms": 0, "lease_s": LEASE_S}
    with built(start.folder, **settings) as (_, app), socket.create_server(("", 0)) as listening:
        port.send(listening.getsockname()[1])
        if start.point is not None:
            arm(start.point, start.passes)
        config = uvicorn.Config(app, ws="none", log_config=None)
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def serving(start: Start) -> Iterator[httpx.Client]:
    """Killed at the block's end, if it has not died before."""
    heard, said = forks.Pipe(duplex=False)
    process = forks.Process(target=serve, args=(start, said), daemon=True)
    process.start()
    said.close()
    try:
        assert heard.poll(STARTS_WITHIN_S), "the server did not start"
        with httpx.Client(
            base_url=f"http://127.0.0.1:{heard.recv()}",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=60,
            trust_env=False,
        ) as http:
            yield http
    finally:
        process.kill()
        process.join()
