"""Hears of what other servers write, by PostgreSQL's LISTEN. Whoever waits for it polls as well: a
connection can break.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from service.storage.database import CHANNEL, Database

LOOK_S = 1.0  # how often the thread sees whether it shall end
TROUBLE_S = 1.0  # between two tries to connect

logger = logging.getLogger(__name__)


class Listener:
    """A thread of its own, for a database that is shared."""

    def __init__(self, database: Database, heard: Callable[[], None]) -> None:
        self._database = database
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="errata-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (SQLAlchemyError, psycopg.Error) as error:
                logger.warning("other servers are not heard: %s", error)
                self._stopping.wait(TROUBLE_S)

    def _listen(self) -> None:
        with self._database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            driver: Any = connection.connection.driver_connection
            self._heard()  # what was said before
            while not self._stopping.is_set():
                for _ in driver.notifies(timeout=LOOK_S, stop_after=1):
                    self._heard()
            connection.exec_driver_sql(f"UNLISTEN {CHANNEL}")
