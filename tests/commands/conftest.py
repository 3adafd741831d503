"""One server in a process of its own, and commands that talk to it."""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import Result

from tests.processes import Child, errata, serving

KEY = "a-key-for-commands"


@pytest.fixture(scope="session")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("commands") / "data"
    with serving(folder, ERRATA_ADMIN_KEY=KEY) as child:
        yield child


@pytest.fixture
def cli(child: Child) -> Callable[..., Result]:
    """Runs a command against the server."""

    def run(*arguments: str, **variables: str) -> Result:
        return errata(*arguments, ERRATA_URL=child.url, ERRATA_API_KEY=KEY, **variables)

    return run


@contextlib.contextmanager
def stand_in(*answers: tuple[int, str]) -> Iterator[str]:
    """The address of a server that gives these answers, one after another and then again."""
    coming = itertools.cycle(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = next(coming)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def cells(printed: str) -> list[list[str]]:
    """The rows of a table, without its header."""
    lines = [line for line in printed.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
