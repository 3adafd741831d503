"""The web server: Uvicorn, with bounds on connections and on its end."""

import asyncio
import contextlib
import gc
import logging
import math
import os
import resource
import socket
import sys
import threading
from types import FrameType

from fastapi import FastAPI
from uvicorn import Server

from service.api.dependencies import Services
from service.commands.connections import HEAD_BYTES, BoundedConfig, Bounds, Connection
from service.settings import Settings

WATCH_TICKS = 10  # of a tenth of a second
TICK_S = 0.05
FLUSH_S = 0.5  # for the last frames of what was ended
LAST_S = 3.0  # after which the process ends, whatever still goes on
SWITCH_S = 0.0005
# What Python collects garbage after: new objects, and collections of the younger ones. A full one
# stops everything, for half a second where thousands of clients are connected.
COLLECT_AFTER = (700, 10, 1_000)
FILES = 256  # open beside connections: the database's, artifacts

logger = logging.getLogger(__name__)


class Web(Server):
    """Once it is told to stop, what is under way has so many seconds to end. Then texts end with an
    error and the batch at hand is left for the next start; a second signal does it at once.
    """

    def __init__(self, app: FastAPI, services: Services, host: str, port: int) -> None:
        settings = services.settings
        config = BoundedConfig(
            app,
            host=host,
            port=port,
            http=Connection,
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            log_config=None,  # its lines go where all others do
            access_log=False,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_s + LAST_S),
        )
        config.bounds = Bounds(settings.max_connections, settings.client_timeout_s)
        super().__init__(config)
        self._services = services
        self._grace_s = settings.shutdown_s
        self._hastened = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self._hastened = True
            _leave_after(FLUSH_S + LAST_S)
        else:
            super().handle_exit(sig, frame)
            _leave_after(self._grace_s + FLUSH_S + LAST_S)

    async def on_tick(self, counter: int) -> bool:
        if counter % WATCH_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.watch(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(self._end())
        await super().shutdown(sockets)
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ending

    async def _end(self) -> None:
        self._services.leave_off()
        now = asyncio.get_running_loop().time
        until = now() + self._grace_s
        while now() < until and not self._hastened:
            await asyncio.sleep(TICK_S)
        engine = self._services.engine
        engine.interrupt()
        await asyncio.to_thread(engine.stop)  # after the pass it is at
        await asyncio.sleep(FLUSH_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _leave_after(seconds: float) -> None:
    """Ends the process then, if it still is there, as a kill would: by design that loses nothing.
    Threads can't be ended otherwise.
    """

    def leave() -> None:
        logger.warning("what was under way has not ended, and is left")
        os._exit(0)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def favour_answers() -> None:
    """Threads that compute hold the interpreter for that long at the most, once the event loop
    wants it, which with each read and write lets go of it; and full collections of garbage are
    rare, and no longer go through the million objects that a start makes.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def allow_connections(settings: Settings) -> None:
    """Raises the process's own limit of open files to what connections need, where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            logger.warning(
                "the system allows %d open files: fewer than ERRATA_MAX_CONNECTIONS need", most
            )
