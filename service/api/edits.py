"""`/edits`: hand in corrections, look at them, take them back."""

import hashlib
import threading
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from service.api.contract import KEYED, LOCATION
from service.api.dependencies import (
    PAST_IDS,
    After,
    EditId,
    Limit,
    Services,
    ServicesDep,
    needs,
)
from service.api.edit_body import OPENAPI_BODY, Corrections
from service.api.failures import documented
from service.api.guarded import Guarded
from service.api.responses.dry_run import TriedOut
from service.api.responses.edits import (
    EditDetail,
    EditOut,
    EditPage,
    EditsAccepted,
    HitsOut,
    QueuedEdit,
)
from service.api.streams import unless_gone
from service.domain.edits import Correction
from service.domain.keys import ApiKey, Scope
from service.domain.states import EditState

router = APIRouter(route_class=Guarded, tags=["edits"], responses=documented(*KEYED))
Editor = Annotated[ApiKey, needs(Scope.EDIT)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="the same key with the same body again gives the same edits, not new ones",
    ),
]
Id = Annotated[int | None, Query(ge=1, lt=PAST_IDS)]
MAX_WAIT_S = 60


@router.post(
    "/edits",
    status_code=HTTPStatus.ACCEPTED,
    response_model=EditsAccepted,
    response_model_exclude_none=True,
    responses={
        200: {"model": TriedOut, "description": "of a dry run"},
        202: {"headers": LOCATION},
        **documented(409),
    },
    openapi_extra=OPENAPI_BODY,
)
async def submit_edits(
    key: Editor,  # before the body is looked at
    body: Corrections,
    request: Request,
    response: Response,
    services: ServicesDep,
    idempotency_key: IdempotencyKey = None,
    dry_run: Annotated[
        bool, Query(description="store nothing; tell what a batch of these edits would do")
    ] = False,
) -> EditsAccepted | Response:
    """Takes one edit, or `{"edits": [...]}`, into the queue: all of them or none. Once this answers
    they are durable; follow them at `Location`.

    With `dry_run=true` the edits are made and verified as a batch over the current version, and
    nothing is stored, no `Idempotency-Key` either: the answer, a 200, tells what would become of
    each, with its report. They must be as many as a batch takes, of one editor with one set of
    hyperparameters; 409 while what the editor needs to know of the model is still to be made.
    """
    if dry_run:
        return JSONResponse((await _tried(request, services, body)).model_dump(mode="json"))
    edits = await services.lanes.intake.run(
        services.intake.submit,
        body,
        actor=key.actor,
        idempotency_key=idempotency_key,
        body_hash=hashlib.sha256(await request.body()).hexdigest(),
    )
    first = edits[0].id
    one = len(edits) == 1
    response.headers["Location"] = f"/edits/{first}" if one else f"/edits?submitted_with={first}"
    return EditsAccepted(edits=[QueuedEdit.of(edit) for edit in edits])


async def _tried(request: Request, services: Services, body: list[Correction]) -> TriedOut:
    services.dry_run.check(body)
    left = threading.Event()  # the client has
    try:
        trying = services.lanes.dry_runs.run(services.dry_run, body, left)
        return TriedOut.of(await unless_gone(request, trying))
    finally:
        left.set()


@router.get("/edits")
def list_edits(
    key: Editor,
    services: ServicesDep,
    after: After = 0,
    limit: Limit = 100,
    status: EditState | None = None,
    batch_id: Id = None,
    submitted_with: Annotated[
        int | None, Query(ge=1, lt=PAST_IDS, description="edits of the same request as this one")
    ] = None,
) -> EditPage:
    """One's own edits, oldest first; an admin's key is shown everybody's. A page of long ones has
    fewer than `limit`: the rest comes after its `next`.
    """
    page, more = services.insights.edits(
        after=after,
        limit=limit,
        owner=key.sees,
        status=status,
        batch_id=batch_id,
        submitted_with=submitted_with,
    )
    after_it = page[-1].id if more else None
    return EditPage(edits=[EditOut.of(edit) for edit in page], next=after_it)


@router.get("/edits/{edit_id}", responses=documented(404))
async def get_edit(
    edit_id: EditId,
    key: Editor,
    request: Request,
    services: ServicesDep,
    wait: Annotated[
        float,
        Query(ge=0, le=MAX_WAIT_S, allow_inf_nan=False, description="seconds to wait for its end"),
    ] = 0.0,
) -> EditDetail:
    """One edit of one's own, with its report; with `wait`, as soon as it is settled or the time is
    up.
    """
    if wait:
        request.state.places.enter_context(services.lanes.seats.taken())
    waiting = services.insights.settled(edit_id, wait, key.sees)
    return EditDetail.with_report(await unless_gone(request, waiting))


@router.get("/edits/{edit_id}/hits", responses=documented(404))
def get_hits(edit_id: EditId, key: Editor, services: ServicesDep) -> HitsOut:
    """How many tokens this edit answered since the server's start, in texts and scores."""
    return HitsOut.of(services.insights.hits(edit_id, key.sees))


@router.delete("/edits/{edit_id}", responses=documented(404, 409))
def cancel_edit(edit_id: EditId, key: Editor, services: ServicesDep) -> EditOut:
    """Takes a queued edit back; 409 once it is claimed."""
    return EditOut.of(services.intake.cancel(edit_id, key.actor, key.sees))
