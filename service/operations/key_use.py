"""Remembers when keys were last used, out of the way of the requests that use them."""

import logging
import threading
from datetime import datetime

from service.storage.database import STORAGE_TROUBLE, now
from service.storage.keys import USE_EVERY_S, KeyRing

LOOK_S = 5.0  # between two looks for uses that are to be written

logger = logging.getLogger(__name__)


class KeyUse:
    """A thread that writes what was noted, of each key at most once in `USE_EVERY_S`."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._noted: dict[int, datetime] = {}
        self._written: dict[int, datetime] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="errata-key-use", daemon=True)

    def note(self, key_id: int) -> None:
        with self._lock:
            self._noted[key_id] = now()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def write(self) -> None:
        """Writes the uses whose turn it is."""
        with self._lock:
            due = {key: at for key, at in self._noted.items() if self._is_due(key, at)}
        if not due:
            return
        try:
            self._keys.used(due)
        except STORAGE_TROUBLE as error:
            logger.warning("the last uses of keys can't be written: %s", error)
            return
        self._written |= due
        with self._lock:
            for key, at in due.items():
                if self._noted[key] == at:
                    del self._noted[key]

    def _is_due(self, key: int, at: datetime) -> bool:
        before = self._written.get(key)
        return before is None or (at - before).total_seconds() >= USE_EVERY_S

    def _work(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.write()
        self.write()
