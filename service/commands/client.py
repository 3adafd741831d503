"""How commands talk to a running server, and how they fail."""

import contextlib
import json
import os
from collections.abc import Iterator
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.markup import escape

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_S = 120.0  # a long generation on a small machine

JsonOption = Annotated[bool, typer.Option("--json", help="Print the server's JSON answer.")]

out = Console()
err = Console(stderr=True)


class Exit(IntEnum):
    """Exit codes. 2 is Typer's own, for wrong usage."""

    REFUSED = 1  # the server said no, or an edit failed
    UNREACHABLE = 3  # no server, or one that is broken


class Client:
    """Requests to `ERRATA_URL` with the key `ERRATA_API_KEY`."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **parameters: Any) -> Any:
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._send("GET", path, params=given)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        given = {name: value for name, value in body.items() if value is not None}
        return self._send("POST", path, json=given)

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            fail(f"no server answers at {self._http.base_url}: {error}", Exit.UNREACHABLE)
        if not response.is_success:
            _refused(response)
        return response.json()


def _refused(response: httpx.Response) -> NoReturn:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError):
        detail = response.text[:500]
    code = Exit.UNREACHABLE if response.is_server_error else Exit.REFUSED
    fail(f"{response.status_code} {response.reason_phrase}: {detail}", code)


@contextlib.contextmanager
def client() -> Iterator[Client]:
    key = os.environ.get("ERRATA_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = os.environ.get("ERRATA_URL", DEFAULT_URL)
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as http:
        yield Client(http)


def fail(message: str, code: Exit) -> NoReturn:
    err.print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def print_json(answer: Any) -> None:
    print(json.dumps(answer, ensure_ascii=False, indent=2))
