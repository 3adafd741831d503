"""A server of the command's own: a child process that serves one command and ends with it."""

import contextlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx

from service.commands.client import TIMEOUT_S, Client
from service.commands.output import Exit, fail

POLL_S = 0.1


@contextlib.contextmanager
def own_server(data_dir: Path, **settings: str) -> Iterator[Client]:
    """Serves on a free loopback port, with its log in `data_dir`, until the block ends. `settings`
    are environment variables beside those that this process has.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key = secrets.token_urlsafe()
    environment = {
        **os.environ,
        **settings,
        "ERRATA_DATA_DIR": str(data_dir),
        # Its log is its own: empty is the default, in the data directory.
        "ERRATA_DATABASE_URL": "",
        "ERRATA_DATABASE_PASSWORD_FILE": "",
        "ERRATA_ARTIFACTS_URL": "",
        "ERRATA_HOST": "127.0.0.1",
        "ERRATA_PORT": str(port),
        "ERRATA_ADMIN_KEY": key,
        "ERRATA_ADMIN_KEY_FILE": "",
        # It does everything itself, for one client that waits for its answers.
        "ERRATA_ROLE": "",
        "ERRATA_PROBES": "",  # which edits that are only measured may break
        "ERRATA_MAX_GENERATIONS": "",
        "ERRATA_MAX_REQUESTS": "",
        "ERRATA_RATE_LIMIT": "",
        "ERRATA_MAX_CONCURRENT_PER_KEY": "",
    }
    # A command that is told to stop would leave its child behind.
    before = signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=TIMEOUT_S,
                trust_env=False,
            ) as http:
                while not _ready(http):
                    if process.poll() is not None:
                        output.seek(0)
                        said = output.read().decode(errors="replace").strip().splitlines()
                        fail(f"the server did not start: {said[-1] if said else ''}", Exit.REFUSED)
                    time.sleep(POLL_S)
                yield Client(http)
        finally:
            process.terminate()
            process.wait()
            signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: object) -> NoReturn:
    """On the way out the child is ended."""
    sys.exit(128 + number)


def peak_memory_mib() -> float:
    """Of the largest child that has ended."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").is_success
    except httpx.TransportError:
        return False
