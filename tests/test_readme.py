"""The README's tour works word for word: its commands are run and its outputs compared.

`python -m tests.test_readme` writes the outputs anew.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from service.settings import Settings

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
KEY = "a-key-for-the-tour"
WIDTH = "100"  # columns of a terminal
# What differs from run to run: measured numbers, hashes and times, and the table lines around them.
VARYING = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\b[0-9a-f]{12,64}\b|\d+\.\d+%?|[━─┳┬┓┐┃│]+| +")


@dataclass
class Step:
    command: str
    output: list[str] = field(default_factory=list)


def steps(block: str) -> list[Step]:
    found: list[Step] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Step(line[2:]))
        else:
            found[-1].output.append(line)
    return found


def same(text: str) -> str:
    return VARYING.sub(" ", text).strip()


class Tour:
    """A terminal: runs what a reader types, and keeps the server that they start."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        programs = Path(sys.executable).parent
        self._environment = {
            **{name: value for name, value in os.environ.items() if "ERRATA" not in name},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": WIDTH,
            "ERRATA_DATA_DIR": str(folder),
            "ERRATA_PORT": str(self._port),
            "ERRATA_ADMIN_KEY": KEY,
        }
        self._folder = folder  # where what is typed is run
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, command: str) -> str:
        *variables, program, last = command.split()
        if (program, last) == ("make", "serve"):
            self.stop()
            self._serve(dict(variable.split("=") for variable in variables))
            return ""
        if command.startswith("export "):
            return ""  # the key and the path of this test stand already
        client = {
            **self._environment,
            "ERRATA_URL": f"http://127.0.0.1:{self._port}",
            "ERRATA_API_KEY": KEY,
        }
        typed = command.replace("localhost:8000", f"localhost:{self._port}")
        done = subprocess.run(
            ["bash", "-c", typed],
            env=client,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)
            self._server = None

    def _serve(self, variables: dict[str, str]) -> None:
        self._server = subprocess.Popen(
            ["errata", "serve"], env={**self._environment, **variables}, cwd=self._folder
        )
        for _ in range(600):
            try:
                with urlopen(f"http://127.0.0.1:{self._port}/health/ready", timeout=5):
                    return
            except (URLError, ConnectionError):
                assert self._server.poll() is None, "the server did not start"
                time.sleep(0.1)
        raise TimeoutError("the server did not become ready")


@contextmanager
def tour() -> Iterator[Tour]:
    with TemporaryDirectory() as folder:
        running = Tour(Path(folder))
        try:
            yield running
        finally:
            running.stop()


def test_the_tour_prints_what_the_readme_shows() -> None:
    shown = [step for block in BLOCK.findall(README.read_text()) for step in steps(block)]
    assert len(shown) > 15
    with tour() as terminal:
        for step in shown:
            printed = terminal.run(step.command)
            assert same(printed) == same("\n".join(step.output)), step.command


def test_every_setting_stands_in_the_readme_with_its_default() -> None:
    text = README.read_text()
    for name, setting in Settings.model_fields.items():
        default = "" if setting.default is None else f"`{setting.default}`"
        row = f"| `ERRATA_{name.upper()}` | {default} | {setting.description} |"
        assert row in text


def rewrite() -> None:
    with tour() as terminal:

        def printed(block: re.Match[str]) -> str:
            lines = []
            for step in steps(block[1]):
                output = terminal.run(step.command).splitlines()
                lines += [f"$ {step.command}", *(line.rstrip() for line in output)]
            return "```console\n" + "\n".join(lines) + "\n```"

        README.write_text(BLOCK.sub(printed, README.read_text()))


if __name__ == "__main__":
    rewrite()
