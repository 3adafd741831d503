"""Removes artifacts that nobody names: of batches that failed before their transaction."""

import logging
from datetime import timedelta

from service.errors import ArtifactsUnreachableError
from service.storage.artifacts import SUFFIX, ArtifactStore
from service.storage.contents import named_artifacts
from service.storage.database import Database, now

# Another server may have written one whose transaction is still to come.
YOUNG = timedelta(hours=1)

logger = logging.getLogger(__name__)


def sweep(database: Database, artifacts: ArtifactStore) -> int:
    """Removes artifacts that no version, batch or snapshot names, and what unfinished writes left,
    if they are older than an hour; returns how many. A log that names none is no reason to remove
    any: it may not be the one that they were written for. Nor is it an error if the place lets
    nothing be removed.
    """
    # Listed before the log is read: what is named meanwhile counts as named.
    found = artifacts.sizes()
    named = named_artifacts(database)
    if not named:
        return 0
    orphans = [name + SUFFIX for name in found if name not in named]
    before = now() - YOUNG
    swept = 0
    try:
        for file in (*orphans, *artifacts.partials()):
            swept += artifacts.remove(file, before)
    except ArtifactsUnreachableError as error:
        logger.warning("artifacts that the log does not name were left: %s", error)
    if swept:
        logger.warning("%d artifacts that the log does not name were removed", swept)
    return swept
