"""`/admin`: change history."""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.api.dependencies import BatchId, Needs, ServicesDep, actor_of
from service.api.problems import documented
from service.api.requests import ChangeIn, RollbackToIn
from service.api.responses import VersionOut
from service.domain.keys import ApiKey, Scope

router = APIRouter(
    prefix="/admin", tags=["admin"], responses=documented(401, 403, 404, 409, 413, 422)
)
Admin = Annotated[ApiKey, Depends(Needs(Scope.ADMIN))]


@router.post("/batches/{batch_id}/rollback")
def rollback_batch(
    batch_id: BatchId, key: Admin, body: ChangeIn, services: ServicesDep
) -> VersionOut:
    """Takes one batch out of history, as if it had never run. Again: no second version."""
    return VersionOut.of(
        services.history.rollback_batch(
            batch_id,
            reason=body.reason,
            actor=actor_of(key),
            expected_version=body.expected_version,
        )
    )


@router.post("/batches/{batch_id}/restore")
def restore_batch(
    batch_id: BatchId, key: Admin, body: ChangeIn, services: ServicesDep
) -> VersionOut:
    """Puts a rolled-back batch at the end of history. Again: no second version."""
    return VersionOut.of(
        services.history.restore_batch(
            batch_id,
            reason=body.reason,
            actor=actor_of(key),
            expected_version=body.expected_version,
        )
    )


@router.post("/rollback")
def rollback_to(key: Admin, body: RollbackToIn, services: ServicesDep) -> VersionOut:
    """Undoes everything after a version."""
    return VersionOut.of(
        services.history.rollback_to(
            body.version,
            reason=body.reason,
            actor=actor_of(key),
            expected_version=body.expected_version,
        )
    )
