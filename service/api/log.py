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
    next_after,
)
from service.api.problems import documented
from service.api.schemas import BatchOut, BatchPage, VersionOut, VersionPage
from service.domain.keys import Scope

router = APIRouter(
    tags=["log"],
    dependencies=[Depends(Needs(Scope.EDIT))],
    responses=documented(401, 403, 422),
)


@router.get("/batches")
def list_batches(services: ServicesDep, after: After = 0, limit: Limit = 100) -> BatchPage:
    """Batches, oldest first."""
    batches = services.insights.batches(after=after, limit=limit)
    return BatchPage(batches=[BatchOut.of(b) for b in batches], next=next_after(batches, limit))


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
    versions = services.insights.versions(after=after, limit=limit)
    last = versions[-1].version if len(versions) == limit else None
    return VersionPage(versions=[VersionOut.of(v) for v in versions], next=last)


@router.get("/versions/{version}", responses=documented(404))
def get_version(version: VersionNumber, services: ServicesDep) -> VersionOut:
    """One row of the log."""
    return VersionOut.of(services.insights.version(version))
