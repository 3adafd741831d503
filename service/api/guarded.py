"""In which order a request is judged: its key first, then its body's size, then what it says."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from service.api.dependencies import Needs, authorise, bearer, services
from service.api.openai.errors import UNKNOWN_FIELD
from service.errors import FieldError, InvalidRequestError


class Guarded(APIRoute):
    """A route that looks at the caller's key before it reads any of the body, and at every
    parameter of the query. FastAPI by itself reads and parses a body before it asks a dependency,
    and ignores parameters that it does not know: a misspelt `dry_run` would make the change.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        asked = [one.call for one in self.dependant.dependencies]
        needs = next((call for call in asked if isinstance(call, Needs)), None)
        if needs is None:
            return answer
        parameters = get_flat_params(self.dependant)
        known = {one.alias for one in parameters if isinstance(one.field_info, Query)}

        async def guarded(request: Request) -> Response:
            given = await bearer(request)
            secret = given.credentials if given else None
            found = await services(request)
            request.state.key = await run_in_threadpool(
                authorise, request, found, secret, needs.scope
            )
            await request.body()  # which `BodyLimit` bounds
            unknown = next((name for name in request.query_params if name not in known), None)
            if unknown is not None:
                raise InvalidRequestError([FieldError(unknown, UNKNOWN_FIELD)])
            return await answer(request)

        return guarded
