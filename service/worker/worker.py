"""Claims batches and applies them, one after another, for as long as the server runs."""

import logging
import threading
import uuid
from collections.abc import Sequence

from service.domain.edits import Edit
from service.domain.states import EditState
from service.errors import StoppedError
from service.operations.apply import Apply
from service.operations.preparation import Preparation
from service.operations.wakeups import Wakeups
from service.storage.database import STORAGE_TROUBLE
from service.storage.queue import EditQueue, Ending

MAX_ATTEMPTS = 3  # of one edit alone, before it ends `failed`
IDLE_S = 1.0  # how long to wait for an announcement before looking at the queue again
TROUBLE_S = 1.0  # rest before trying again what no edit was to blame for

logger = logging.getLogger(__name__)


class Worker:
    def __init__(
        self,
        queue: EditQueue,
        apply: Apply,
        preparation: Preparation,
        wakeups: Wakeups,
        *,
        max_batch: int,
        linger_ms: int,
    ) -> None:
        self._queue = queue
        self._apply = apply
        self._preparation = preparation
        self._wakeups = wakeups
        self._max_batch = max_batch
        self._linger_s = linger_ms / 1000
        self._run = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="errata-worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the batch it is at."""
        self._stopping.set()
        self._preparation.stop()
        self._wakeups.announce()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def pending(self) -> str | None:
        return self._preparation.pending

    def _work(self) -> None:
        while not self._stopping.is_set():
            seen = self._wakeups.count
            try:
                self._preparation.run()
                edits = self._claim()
                if edits:
                    self._apply_or_split(edits)
                else:
                    self._wakeups.wait(seen, IDLE_S)
            except StoppedError:
                return
            except Exception:
                # Claimed edits stay durable. A new name makes them left behind, and so claimable.
                logger.exception("the worker is in trouble; it will try again")
                self._run = uuid.uuid4().hex
                self._stopping.wait(TROUBLE_S)

    def _claim(self) -> list[Edit]:
        if 0 < self._queue.depth() < self._max_batch:
            self._stopping.wait(self._linger_s)  # others may join the batch
        return self._queue.claim(self._run, self._max_batch)

    def _apply_or_split(self, edits: Sequence[Edit]) -> None:
        """Applies a batch; if it fails as a whole, halves it until the edit at fault stands alone,
        so that the others apply. A disk or a database in trouble is no edit's fault, and raises.
        """
        try:
            self._apply(edits)
        except (*STORAGE_TROUBLE, StoppedError):
            raise
        except Exception as error:
            logger.exception("a batch of %d edits failed", len(edits))
            if len(edits) > 1:
                middle = len(edits) // 2
                self._apply_or_split(edits[:middle])
                self._apply_or_split(edits[middle:])
            elif edits[0].attempts >= MAX_ATTEMPTS:
                reason = f"{type(error).__name__}: {error}"
                self._queue.end({edits[0].id: Ending(EditState.FAILED, reason)})
                self._wakeups.announce()
            else:
                self._queue.release([edits[0].id])
