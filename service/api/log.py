"""`/batches` and `/versions`: the log."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import (
    LARGEST_ID,
    After,
    BatchId,
    Limit,
    Needs,
    ServicesDep,
    VersionNumber,
    page_of,
)
from service.api.problems import documented
from service.api.responses import BatchOut, BatchPage, VersionOut, VersionPage
from service.domain.keys import Scope

router = APIRouter(
    tags=["log"],
    dependencies=[Depends(Needs(Scope.EDIT))],
    responses=documented(401, 403, 422, 429),
)


@router.get("/batches")
def list_batches(services: ServicesDep, after: After = 0, limit: Limit = 100) -> BatchPage:
    """Batches, oldest first."""
    page, after_it = page_of(services.insights.batches(after=after, limit=limit + 1), limit)
    return BatchPage(batches=[BatchOut.of(batch) for batch in page], next=after_it)


@router.get("/batches/{batch_id}", responses=documented(404))
def get_batch(batch_id: BatchId, services: ServicesDep) -> BatchOut:
    """One batch, with what it was made with, its metrics and timings."""
    return BatchOut.of(services.insights.batch(batch_id))


@router.get("/versions")
def list_versions(
    services: ServicesDep,
    # Version 0 is one too: the first page begins before it.
    after: Annotated[int, Query(ge=-1, le=LARGEST_ID)] = -1,
    limit: Limit = 100,
) -> VersionPage:
    """The log, oldest version first."""
    found = services.insights.versions(after=after, limit=limit + 1)
    page = found[:limit]
    after_it = page[-1].version if len(found) > limit else None
    return VersionPage(versions=[VersionOut.of(version) for version in page], next=after_it)


@router.get("/versions/{version}", responses=documented(404))
def get_version(version: VersionNumber, services: ServicesDep) -> VersionOut:
    """One row of the log."""
    return VersionOut.of(services.insights.version(version))
