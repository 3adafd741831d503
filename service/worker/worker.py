"""Claims batches and applies them, one after another, for as long as this server has the lease."""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Sequence

from service.domain.edits import Edit
from service.domain.leases import Lease
from service.domain.pulse import Pulse
from service.domain.states import EditState
from service.errors import LostLeaseError, StaleVersionError, StoppedError
from service.operations.apply import Apply
from service.operations.preparation import Preparation
from service.operations.wakeups import Wakeups
from service.storage.database import STORAGE_TROUBLE
from service.storage.leases import Leases
from service.storage.queue import ALONE_AFTER, EditQueue, Ending
from service.worker.tenure import Tenure, held

MAX_ATTEMPTS = 3  # of one edit alone, before it ends `failed`
# The same where none came to an end: the first three in batches, by which an edit is not to blame.
MAX_UNENDED = ALONE_AFTER + MAX_ATTEMPTS
IDLE_S = 1.0  # how long to wait for an announcement before looking at the queue again
TROUBLE_S = 1.0  # rest before trying again what no edit was to blame for

logger = logging.getLogger(__name__)


class Worker:
    def __init__(
        self,
        leases: Leases,
        queue: EditQueue,
        apply: Apply,
        preparation: Preparation,
        wakeups: Wakeups,
        pulse: Pulse,
        *,
        max_batch: int,
        linger_ms: int,
    ) -> None:
        self._leases = leases
        self._queue = queue
        self._apply = apply
        self._preparation = preparation
        self._wakeups = wakeups
        self._pulse = pulse
        self._max_batch = max_batch
        self._linger_s = linger_ms / 1000
        self._name = f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._follows = False
        self._stopping = threading.Event()
        self._thread = self._made()
        self.lease: Lease | None = None  # while it has it

    def start(self) -> None:
        """Also anew, where the thread has died."""
        if self._thread.ident is not None:
            self._thread = self._made()
        self._thread.start()

    def leave_off(self) -> None:
        """The thread ends after the batch it is at; does not wait for it."""
        self._stopping.set()
        self._preparation.stop()
        self._wakeups.announce()

    def stop(self) -> None:
        """Ends the thread after the batch it is at."""
        self.leave_off()
        self._thread.join()

    @property
    def trouble(self) -> str | None:
        if not self._thread.is_alive():
            return "the worker is not running"
        silent_s = self._pulse.wedged_s
        if silent_s is None:
            return None
        return f"the worker has given no sign of life for {silent_s:.0f} s"

    @property
    def pending(self) -> str | None:
        return None if self._follows else self._preparation.pending

    def _made(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="errata-worker", daemon=True)

    def _run(self) -> None:
        self._pulse.bind()
        try:
            self._work()
        finally:
            self._pulse.rest()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._pulse.beat()
            try:
                with held(self._leases, self._name) as tenure:
                    self._follows = tenure is None
                    if tenure is None:
                        self._stopping.wait(IDLE_S)
                    else:
                        self._lead(tenure)
            except StoppedError:
                return  # what was claimed is claimed again under the next lease
            except LostLeaseError as error:
                logger.warning("%s; its batch is another server's", error)
            except Exception:
                # Claimed edits stay durable, and are claimed again under the next lease.
                logger.exception("the worker is in trouble; it will try again")
                self._stopping.wait(TROUBLE_S)

    def _lead(self, tenure: Tenure) -> None:
        self.lease = tenure.lease
        logger.info("this server applies edits", extra={"token": tenure.lease.token})
        try:
            self._apply_what_comes(tenure)
        finally:
            self.lease = None

    def _apply_what_comes(self, tenure: Tenure) -> None:
        while not (self._stopping.is_set() or tenure.over.is_set()):
            self._pulse.beat()
            seen = self._wakeups.count
            self._preparation.run()
            edits = self._claim(tenure.lease)
            if edits and edits[0].attempts > MAX_UNENDED:
                self._give_up(edits, tenure.lease)
            elif edits:
                self._apply_or_split(edits, tenure.lease)
            else:
                self._apply.settle()
                self._wakeups.wait(seen, IDLE_S)

    def _claim(self, lease: Lease) -> list[Edit]:
        # What comes from now on finds a worker that lets others join it.
        if self._queue.is_empty(lease):
            return []
        if 0 < self._queue.depth() < self._max_batch:
            with self._pulse.patient():
                if self._stopping.wait(self._linger_s):  # others may join the batch
                    return []
        return self._queue.claim(lease, self._max_batch)

    def _give_up(self, edits: Sequence[Edit], lease: Lease) -> None:
        """An edit that is too much for the machine would end every server that claims it."""
        logger.error("an edit has ended %d servers, and fails", MAX_UNENDED, extra=_about(edits))
        ending = Ending(EditState.FAILED, f"{MAX_UNENDED} servers ended while they applied it")
        self._queue.end(lease, dict.fromkeys((edit.id for edit in edits), ending))
        self._wakeups.announce()

    def _apply_or_split(self, edits: Sequence[Edit], lease: Lease) -> None:
        """Applies a batch; if it fails as a whole, halves it until the edit at fault stands alone,
        so that the others apply. A disk or a database in trouble is no edit's fault, and raises.
        """
        try:
            self._apply(edits, lease)
        except StaleVersionError:
            logger.info(
                "history was changed meanwhile: the batch is computed anew", extra=_about(edits)
            )
            self._queue.release(lease, [edit.id for edit in edits], tried=False)
        except StoppedError:
            self._queue.release(lease, [edit.id for edit in edits], tried=False)
            raise
        except (*STORAGE_TROUBLE, LostLeaseError):
            raise
        except Exception as error:
            logger.exception("a batch of %d edits failed", len(edits), extra=_about(edits))
            if len(edits) > 1:
                middle = len(edits) // 2
                self._apply_or_split(edits[:middle], lease)
                self._apply_or_split(edits[middle:], lease)
            elif edits[0].attempts >= MAX_ATTEMPTS:
                reason = f"{type(error).__name__}: {error}"
                self._queue.end(lease, {edits[0].id: Ending(EditState.FAILED, reason)})
                self._wakeups.announce()
            else:
                self._queue.release(lease, [edits[0].id], tried=True)


def _about(edits: Sequence[Edit]) -> dict[str, list[int]]:
    return {"edit_ids": [edit.id for edit in edits]}
