"""`/batches` and `/versions`: the log."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.contract import KEYED
from service.api.dependencies import (
    PAST_IDS,
    After,
    BatchId,
    Limit,
    ServicesDep,
    VersionNumber,
    needs,
    page_of,
)
from service.api.failures import documented
from service.api.guarded import Guarded
from service.api.responses.log import (
    BatchDetail,
    BatchOut,
    BatchPage,
    VersionDetail,
    VersionOut,
    VersionPage,
)
from service.domain.keys import Scope

router = APIRouter(
    route_class=Guarded,
    tags=["log"],
    dependencies=[needs(Scope.EDIT)],
    responses=documented(*KEYED),
)


@router.get("/batches")
def list_batches(services: ServicesDep, after: After = 0, limit: Limit = 100) -> BatchPage:
    """Batches, oldest first."""
    page, after_it = page_of(services.insights.batches(after=after, limit=limit + 1), limit)
    return BatchPage(batches=[BatchOut.of(batch) for batch in page], next=after_it)


@router.get("/batches/{batch_id}", responses=documented(404))
def get_batch(batch_id: BatchId, services: ServicesDep) -> BatchDetail:
    """One batch, with what it was made with, its metrics and timings, and the probes that its
    version changed.
    """
    batch = services.insights.batch(batch_id)
    return BatchDetail.with_probes(batch, services.insights.changed_probes(batch.version))


@router.get("/versions")
def list_versions(
    services: ServicesDep,
    # Version 0 is one too: the first page begins before it.
    after: Annotated[int, Query(ge=-1, lt=PAST_IDS)] = -1,
    limit: Limit = 100,
) -> VersionPage:
    """The log, oldest version first."""
    found = services.insights.versions(after=after, limit=limit + 1)
    page = found[:limit]
    after_it = page[-1].version if len(found) > limit else None
    return VersionPage(versions=[VersionOut.of(version) for version in page], next=after_it)


@router.get("/versions/{version}", responses=documented(404))
def get_version(version: VersionNumber, services: ServicesDep) -> VersionDetail:
    """One row of the log, with the probes that it changed."""
    found = services.insights.version(version)
    return VersionDetail.with_probes(found, services.insights.changed_probes(version))
