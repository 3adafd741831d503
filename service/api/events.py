"""`/events`: the log's events as they happen, by server-sent events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from service.api.contract import KEYED, sent_events
from service.api.dependencies import PAST_IDS, Services, ServicesDep, needs
from service.api.failures import documented, failed_midway
from service.api.guarded import Guarded
from service.api.responses.events import EventOut
from service.api.streams import STREAM_HEADERS, framed
from service.domain.events import Event
from service.domain.keys import ApiKey, Scope

AGAIN_MS = 1_000  # after which a client whose stream has ended comes back

router = APIRouter(route_class=Guarded, tags=["log"], responses=documented(*KEYED, 422))


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": sent_events("EventOut")}},
)
async def events(
    key: Annotated[ApiKey, needs(Scope.EDIT)],
    services: ServicesDep,
    request: Request,
    after: Annotated[int, Query(ge=0, lt=PAST_IDS, description="begin after this event")] = 0,
    last_event_id: Annotated[
        int | None, Header(ge=0, lt=PAST_IDS, description="goes before `after`")
    ] = None,
    follow: Annotated[
        bool, Query(description="false: end after what is there by now", examples=[False])
    ] = True,
) -> StreamingResponse:
    """Changes of one's own edits' states, and versions; an admin's key is shown everybody's. Each
    event's id is what a client goes on after; none is missed, and none comes twice.
    """
    if follow:
        request.state.places.enter_context(services.lanes.seats.taken())
    start = after if last_event_id is None else last_event_id
    return StreamingResponse(
        framed(_frames(_found(services, key, start, follow)), _failure),
        media_type="text/event-stream",
        headers=STREAM_HEADERS,
    )


def _found(
    services: Services, key: ApiKey, after: int, follow: bool
) -> AsyncIterator[Event | None]:
    if not follow:
        return services.feed.read(after, key.sees)
    return services.feed.follow(after, key.sees, lambda: services.keys.is_active(key.id))


async def _frames(found: AsyncIterator[Event | None]) -> AsyncIterator[str]:
    yield f"retry: {AGAIN_MS}\n\n"
    async for event in found:
        yield ": still here\n\n" if event is None else _frame(EventOut.of(event))


def _frame(event: EventOut) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"


def _failure(status: int, detail: str) -> str:
    return f"event: failure\ndata: {failed_midway(status, detail)}\n\n"
