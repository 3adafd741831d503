"""What handlers are handed: the services, the caller's key, and ids with bounds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Path, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.lanes import Lanes
from service.api.limits import KeyLimits
from service.api.metrics.registry import Metrics
from service.api.readiness import Readiness
from service.domain.keys import ApiKey, Scope
from service.domain.ports import Running
from service.engine.engine import Engine
from service.errors import ForbiddenError, NotAuthenticatedError
from service.operations.ask import Ask
from service.operations.dry_run import DryRun
from service.operations.feed import Feed
from service.operations.history import History
from service.operations.insights import Insights
from service.operations.intake import Intake
from service.operations.key_use import KeyUse
from service.operations.overlays import Overlays
from service.operations.spans import Spans
from service.settings import Settings
from service.storage.keys import KeyRing

# A database holds integers below it. As a bound it stays exact where JSON is read as floats.
PAST_IDS = 2**63


@dataclass(frozen=True)
class Services:
    """Everything that `service.app` has built for the handlers."""

    settings: Settings
    engine: Engine
    overlays: Overlays
    intake: Intake
    dry_run: DryRun
    ask: Ask
    history: History
    insights: Insights
    feed: Feed
    keys: KeyRing
    key_use: KeyUse
    limits: KeyLimits
    lanes: Lanes
    worker: Running | None  # none where this server applies no edits
    readiness: Readiness
    metrics: Metrics
    spans: Spans

    def leave_off(self) -> None:
        """The server is about to stop: nobody waits for news any more, and no batch is begun."""
        self.insights.close()
        if self.worker is not None:
            self.worker.leave_off()


async def services(request: Request) -> Services:
    # Not waiting for anything; but what is no coroutine is run in a thread of its own.
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]

bearer = HTTPBearer(auto_error=False, description="A key of `errata keys create`.")


class Needs:
    """A dependency: the caller's key, which `Guarded` routes have found to be of this scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        _given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> ApiKey:
        key: ApiKey = request.state.key
        return key


def needs(scope: Scope) -> Any:
    """What a route that needs such a key depends on; the document names the scope."""
    return Security(Needs(scope), scopes=[scope.value])


def authorise(request: Request, found: Services, secret: str | None, scope: Scope) -> ApiKey:
    """Raises the same `NotAuthenticatedError` for a wrong, a revoked and an expired key, and what
    `KeyLimits` does.
    """
    # Of two headers a proxy may have looked at the other one.
    if len(request.headers.getlist("authorization")) > 1:
        raise NotAuthenticatedError
    key = found.keys.find(secret) if secret else None
    if key is None:
        raise NotAuthenticatedError
    found.key_use.note(key.id)
    found.limits.admit(request, key)
    if not key.scope.includes(scope):
        raise ForbiddenError(scope, key.scope)
    return key


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


N = TypeVar("N", bound=Numbered)


def page_of(found: Sequence[N], limit: int) -> tuple[Sequence[N], int | None]:
    """The first `limit` of what one more was asked for, and the `after` of the page behind it; None
    if there is none.
    """
    page = found[:limit]
    return page, page[-1].id if len(found) > limit else None


EditId = Annotated[int, Path(ge=1, lt=PAST_IDS)]
BatchId = Annotated[int, Path(ge=1, lt=PAST_IDS)]
VersionNumber = Annotated[int, Path(ge=0, lt=PAST_IDS)]
VersionQuery = Annotated[
    int | None,
    Query(ge=0, lt=PAST_IDS, description="which version answers; 0 is the unedited model"),
]
Limit = Annotated[int, Query(ge=1, le=1_000, description="how many at most")]
After = Annotated[int, Query(ge=0, lt=PAST_IDS, description="the page before's `next`")]
