"""Batches for tests of storage, which looks into no artifact."""

from service.domain.batches import BatchMetrics, BatchTimings
from service.domain.edits import Edit
from service.storage.database import Database
from service.storage.log import AppliedBatch, EditOutcome, Log


def opened(database: Database) -> Log:
    log = Log(database)
    log.open("model", "fingerprint", "base")
    return log


def applied(*edits: Edit) -> AppliedBatch:
    return AppliedBatch(
        editor="grace",
        outcomes={edit.id: EditOutcome(None, 0.0, 1.0, verified=True, joint=" ") for edit in edits},
        endings={},
        hyperparameters={},
        metrics=BatchMetrics(len(edits), 0, 1.0, None, None),
        timings=BatchTimings(0.0, 0.0, 0.0),
        artifact="artifact",
        checksum="checksum",
    )
