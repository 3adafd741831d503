"""Serves what other servers commit, soon after."""

import logging
import threading
import time

from service.operations.overlays import Overlays
from service.operations.wakeups import Wakeups

POLL_S = 0.5  # between two looks at the log, if nobody announces anything
LAG_S = 2.0  # that a version may take to be read before the server says that it lags

logger = logging.getLogger(__name__)


class Following:
    """A thread that publishes the log's last version whenever it is not this server's own."""

    def __init__(self, overlays: Overlays, wakeups: Wakeups) -> None:
        self._overlays = overlays
        self._wakeups = wakeups
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="errata-following", daemon=True)
        self._looked = time.monotonic()  # when it last had the log's last version

    def start(self) -> None:
        self._looked = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wakeups.announce()
        self._thread.join()

    @property
    def trouble(self) -> str | None:
        """Why this server may serve an old version; None if it does not."""
        if not self._thread.is_alive():
            return "the log is not followed"
        behind_s = time.monotonic() - self._looked
        if behind_s < POLL_S + LAG_S:
            return None
        return f"the log was last read {behind_s:.0f} s ago: newer versions may be missing"

    def _work(self) -> None:
        while not self._stopping.is_set():
            seen = self._wakeups.count
            before = self._overlays.current.version
            try:
                after = self._overlays.catch_up().version
                self._looked = time.monotonic()
            except Exception:
                logger.exception("the log's last version can't be served; it will be tried again")
            else:
                if after > before:
                    self._wakeups.announce()
            self._wakeups.wait(seen, POLL_S)
