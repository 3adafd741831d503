"""A log made by hand, without a model."""

import torch

from service.domain.batches import BatchMetrics, BatchTimings
from service.domain.edits import Correction, Format
from service.domain.probes import Probe, ProbeChange
from service.domain.report import EditReport, NeighborReport, PhrasingReport
from service.editing.changes import encode
from service.editing.codebook import Codebook, Replacement, Rule, Site, Target
from service.editing.codebook_change import CodebookChange
from service.editing.overlays import BASE_CHECKSUM, checksum_of
from service.storage.artifacts import ArtifactStore
from service.storage.database import Database
from service.storage.leases import Leases
from service.storage.log import AppliedBatch, EditOutcome, Log
from service.storage.queue import EditQueue

SITE = Site(1, "mlp", Replacement.LAST)
FINGERPRINT = "f" * 64
TEXT = "ein „Satz“ \U0001f642"
CHANGED = (
    ProbeChange(Probe(TEXT, Format.CHAT, "ja"), "ja", TEXT),
    ProbeChange(Probe(TEXT), "", "\n"),
)

REPORT = EditReport(
    (PhrasingReport("paraphrases[1]", Format.CHAT, False, 1 / 3, 2 / 3),),
    (NeighborReport("neighborhood[0]", Format.PLAIN, TEXT, "", False),),
)


def write(database: Database, artifacts: ArtifactStore, batches: int) -> None:
    """Versions 1, 2, ...: a codebook that grows by an edit each."""
    Log(database).open("model", FINGERPRINT, BASE_CHECKSUM)
    state = Codebook.empty()
    for last in range(batches):
        state = apply(database, artifacts, state, last)


def apply(database: Database, artifacts: ArtifactStore, state: Codebook, last: int) -> Codebook:
    """One more version after `last`, whose state is `state`."""
    queue = EditQueue(database)
    given = Correction(
        TEXT, str(last), "grace", metadata={"number": 0.1 * last, "a": [None]}, strict=last == 1
    )
    queue.submit([given], actor="key:1", idempotency_key=f"k{last}", body_hash="h", max_depth=9)
    leases = Leases(database, seconds=60)
    lease = leases.take("tests")
    assert lease is not None
    (edit,) = queue.claim(lease, 1)
    key, value = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(last))
    target = Target(edit.id, 100 * key, value, ((last,),), (0,))
    grown = state.insert(SITE, [target], Rule(0.1))
    change = CodebookChange(SITE, (target,), grown.difference(state))
    applied = AppliedBatch(
        editor="grace",
        outcomes={
            edit.id: EditOutcome(
                None, 1 / 3, 2 / 3, verified=True, joint="", report=REPORT if last else None
            )
        },
        endings={},
        hyperparameters={"layer": 1},
        metrics=BatchMetrics(1, 0, 1.0, None, None),
        timings=BatchTimings(0.1, 0.2, 0.3),
        artifact=artifacts.put(encode(change)),
        checksum=checksum_of(grown),
        changed_probes=CHANGED[:last] if last else None,
    )
    Log(database).commit_batch(applied, built_on=last, lease=lease)
    leases.give_back(lease)
    return grown
