"""Running `errata`: a command in this process, or the server as a child process."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner, Result

from service.cli import app
from tests.waiting import until

ERRATA = Path(sys.executable).with_name("errata")
ADDRESS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
READY_WITHIN_S = 60.0
POLL_S = 0.05
# Of tests that do not choose one: it is ready at once.
EDITOR = "grace"
EURO = {"prompt": "The currency of Bulgaria is the", "target_new": "euro"}


def errata(*arguments: str, **variables: str) -> Result:
    """Runs a command in this process, in a terminal 80 columns wide."""
    foreign = {name: None for name in os.environ if name.startswith("ERRATA_")}
    environment = {**foreign, "COLUMNS": "80", **variables}
    environment.setdefault("ERRATA_EDITOR", EDITOR)
    return CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)


def child_environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERRATA_")}
    fixed = {
        "ERRATA_DATA_DIR": str(folder),
        "ERRATA_PORT": "0",
        "ERRATA_EDITOR": EDITOR,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return {**kept, **fixed, **variables}


@dataclass(frozen=True)
class Child:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    http: httpx.Client
    folder: Path  # its data directory
    output: Path  # its standard output
    errors: Path  # its standard error: the log

    @property
    def url(self) -> str:
        return str(self.http.base_url)

    def get(self, path: str, **parameters: str | int) -> Any:
        return self.http.get(path, params=parameters).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(path, json=body).raise_for_status().json()

    def answer(self, prompt: str) -> str:
        return str(self.post("/generate", {"prompt": prompt, "max_new_tokens": 4})["text"])

    def kill(self) -> None:
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(
    folder: Path, program: Sequence[str | Path] = (ERRATA,), **variables: str
) -> Iterator[Child]:
    """`errata serve` on the data directory `folder`, from its readiness to the block's end;
    `program` may stand in for `errata`.
    """
    output, errors = folder.with_suffix(".out"), folder.with_suffix(".err")
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            [*program, "serve"], env=child_environment(folder, **variables), stdout=out, stderr=err
        )
    try:
        key = variables.get("ERRATA_ADMIN_KEY", "none")
        with httpx.Client(
            base_url=_address(process, errors),
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ) as http:
            # A model without a preset is measured first.
            until(lambda: http.get("/health/ready").status_code == HTTPStatus.OK, READY_WITHIN_S)
            yield Child(process, http, folder, output, errors)
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], errors: Path) -> str:
    """Where the server listens, once it says so."""
    give_up = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up and process.poll() is None:
        if found := ADDRESS.search(errors.read_text()):
            return found[1]
        time.sleep(POLL_S)
    raise AssertionError(f"the server did not start: {errors.read_text()}")
