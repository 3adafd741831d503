"""`/admin`: change history."""

from typing import Annotated

from fastapi import APIRouter, Query

from service.api.contract import KEYED
from service.api.dependencies import BatchId, EditId, Services, ServicesDep, needs
from service.api.failures import documented
from service.api.guarded import Guarded
from service.api.requests import ChangeIn, RollbackToIn
from service.api.responses.log import VersionOut
from service.api.responses.preview import PreviewOut
from service.domain.keys import ApiKey, Scope
from service.operations.changes import (
    BatchRestore,
    BatchRollback,
    Change,
    EditRollback,
    Repair,
    RollbackTo,
)

router = APIRouter(
    route_class=Guarded,
    prefix="/admin",
    tags=["admin"],
    responses=documented(*KEYED, 404, 409),
)
Admin = Annotated[ApiKey, needs(Scope.ADMIN)]
DryRun = Annotated[bool, Query(description="change nothing; tell what would change")]


@router.post("/batches/{batch_id}/rollback")
async def rollback_batch(
    batch_id: BatchId, key: Admin, body: ChangeIn, services: ServicesDep, dry_run: DryRun = False
) -> VersionOut | PreviewOut:
    """Takes one batch out of history, as if it had never run. Again: no second version."""
    return await _change(services, BatchRollback(batch_id), key, body, dry_run)


@router.post("/batches/{batch_id}/restore")
async def restore_batch(
    batch_id: BatchId, key: Admin, body: ChangeIn, services: ServicesDep, dry_run: DryRun = False
) -> VersionOut | PreviewOut:
    """Puts a rolled-back batch at the end of history, with all its edits. An active one stays in
    its place and gets back the edits that were taken out of it. Again: no second version. 409 while
    batches of another family are at work.
    """
    return await _change(services, BatchRestore(batch_id), key, body, dry_run)


@router.post("/edits/{edit_id}/rollback")
async def rollback_edit(
    edit_id: EditId, key: Admin, body: ChangeIn, services: ServicesDep, dry_run: DryRun = False
) -> VersionOut | PreviewOut:
    """Takes one edit out of its batch, as if it had never been in it; with its last edit, the batch
    is rolled back too. Again: no second version.
    """
    return await _change(services, EditRollback(edit_id), key, body, dry_run)


@router.post("/rollback")
async def rollback_to(
    key: Admin, body: RollbackToIn, services: ServicesDep, dry_run: DryRun = False
) -> VersionOut | PreviewOut:
    """Undoes everything after a version. 409 where it would put batches of one family in place of
    another's: roll back to version 0 first.
    """
    return await _change(services, RollbackTo(body.version), key, body, dry_run)


@router.post("/repair")
async def repair(
    key: Admin, body: ChangeIn, services: ServicesDep, dry_run: DryRun = False
) -> VersionOut | PreviewOut:
    """Inserts all active batches anew by today's rule, which gives each given phrasing a codebook
    entry of its own. No version is made where no batch is of before that rule.
    """
    return await _change(services, Repair(), key, body, dry_run)


async def _change(
    services: Services, change: Change, key: ApiKey, body: ChangeIn, dry_run: bool
) -> VersionOut | PreviewOut:
    history, expected = services.history, body.expected_version
    run = services.lanes.changes.run
    if dry_run:
        return PreviewOut.of(await run(history.preview, change, expected_version=expected))
    version = await run(
        history.make, change, reason=body.reason, actor=key.actor, expected_version=expected
    )
    return VersionOut.of(version)
