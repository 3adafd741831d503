"""Holding the lease: a heartbeat renews it for as long as a block runs."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.domain.leases import Lease
from service.errors import LostLeaseError
from service.storage.leases import Leases

BEATS = 4  # in the time that a lease lasts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tenure:
    lease: Lease
    over: threading.Event  # another server has the lease, or the block is left


@contextmanager
def held(leases: Leases, holder: str) -> Iterator[Tenure | None]:
    """None while another server has the lease. It is given back at the block's end."""
    lease = leases.take(holder)
    if lease is None:
        yield None
        return
    tenure = Tenure(lease, threading.Event())
    heart = threading.Thread(target=_beat, args=(leases, tenure), name="errata-lease", daemon=True)
    if leases.lapse:
        heart.start()
    try:
        yield tenure
    finally:
        tenure.over.set()
        if leases.lapse:
            heart.join()
        try:
            leases.give_back(lease)
        except SQLAlchemyError as error:
            logger.warning("the lease could not be given back, and will lapse: %s", error)


def _beat(leases: Leases, tenure: Tenure) -> None:
    while not tenure.over.wait(leases.seconds / BEATS):
        try:
            leases.renew(tenure.lease)
        except LostLeaseError as error:
            logger.warning("%s", error)
            tenure.over.set()
        except SQLAlchemyError as error:
            # Nothing is written under a lease that has lapsed and was taken: the fence sees to it.
            logger.warning("the lease could not be renewed: %s", error)
