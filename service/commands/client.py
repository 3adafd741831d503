"""How commands talk to a running server."""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NoReturn

import httpx
import typer

from service.commands.output import Exit, fail

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 120.0  # a long generation on a small machine
# What answers that are not Errata's lead to.
FOREIGN = (LookupError, TypeError, AttributeError, ValueError, RecursionError)
# Of server-sent events, beside kinds and data.
OTHER_LINES = ("", "id", "retry")


class Client:
    """Requests to `ERRATA_URL` with the key `ERRATA_API_KEY`, of several threads at once."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._may_tell = threading.Lock()  # whoever fails first takes it for good

    def get(self, path: str, **parameters: Any) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("GET", path, params=given)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = TIMEOUT_S) -> Any:
        given = {name: value for name, value in body.items() if value is not None}
        # Whatever a file or a shell may hold, broken Unicode and NaN too, is the server's to judge.
        headers = {"Content-Type": "application/json"}
        content = json.dumps(given)
        return self._send("POST", path, content=content, headers=headers, timeout=timeout_s)

    def events(self, path: str, **parameters: Any) -> Iterator[tuple[str, Any]]:
        """The kind and the data of each server-sent event, as they come."""
        kind = ""
        try:
            with self._http.stream("GET", path, params=parameters) as response:
                if not response.is_success:
                    response.read()
                    self._refused(response)
                for line in _lines(response):
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data":
                        yield kind, json.loads(value)
                    elif name not in OTHER_LINES:
                        raise ValueError(f"no server-sent event has '{name}'")
        except httpx.HTTPError as error:
            self._unreachable(error)

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            self._unreachable(error)
        if not response.is_success:
            self._refused(response)
        return response.json()

    def _refused(self, response: httpx.Response) -> NoReturn:
        try:
            detail = response.json()["detail"]
        except FOREIGN:
            detail = response.text[:500]
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            detail = f"{detail}; commands take it from ERRATA_API_KEY"
        code = Exit.UNREACHABLE if response.is_server_error else Exit.REFUSED
        self._fail(f"{response.status_code} {response.reason_phrase}: {detail}", code)

    def _unreachable(self, error: httpx.HTTPError) -> NoReturn:
        self._fail(f"no server answers at {self._http.base_url}: {error}", Exit.UNREACHABLE)

    def _fail(self, message: str, code: Exit) -> NoReturn:
        """Of threads that fail together one tells it."""
        if self._may_tell.acquire(blocking=False):
            fail(message, code)
        raise typer.Exit(code)


def _lines(response: httpx.Response) -> Iterator[str]:
    """Lines as server-sent events have them: a text in one of them may hold other characters that
    Python, and httpx with it, takes for the end of a line.
    """
    rest = b""
    for chunk in response.iter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
    if rest:
        yield rest.decode()


@contextlib.contextmanager
def client() -> Iterator[Client]:
    """Ends the command with one line if what the block makes of an answer shows that it is not
    Errata's.
    """
    url = os.environ.get("ERRATA_URL") or DEFAULT_URL
    key = os.environ.get("ERRATA_API_KEY", "").strip()
    if not key.isascii():
        fail("ERRATA_API_KEY holds characters that no key has", Exit.REFUSED)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)
    except httpx.InvalidURL as error:
        fail(f"ERRATA_URL '{url}' is no address: {error}", Exit.UNREACHABLE)
    with http:
        try:
            yield Client(http)
        except FOREIGN:
            fail(f"what answers at {http.base_url} is not Errata", Exit.UNREACHABLE)
