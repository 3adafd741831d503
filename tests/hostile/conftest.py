"""One server in a process of its own, an edit in its log, and a look at it after every test: it is
well, and what was refused has changed nothing.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.storage.keys import new_secret
from tests.processes import EURO, Child, errata, serving

WATCHED = Path(__file__).with_name("watched.py")
# What no answer and no line of the log may hold: code, its places, SQL, files, keys.
LEAKS = re.compile(rb"Traceback|File \"|\.py\b|SELECT |INSERT |sqlite|psycopg|/site-packages/")
# All that is warned of: bytes that are no HTTP, and an X-Request-ID that is none.
WARNINGS = ("Invalid HTTP request received.", "Generated new request ID")


@dataclass(frozen=True)
class Target:
    """A server, and the keys of three who are not one another's."""

    child: Child
    admin: str
    mine: str  # of scope edit
    theirs: str  # of scope edit
    seen: Path  # what it connected to, a line each

    @property
    def port(self) -> int:
        return int(self.child.http.base_url.port or 0)

    def state(self) -> list[Any]:
        """Of the log and the queue, as an admin sees them."""
        paths = ("/versions", "/batches", "/edits?limit=1000")
        return [self.child.get(path) for path in paths]

    def well(self) -> None:
        """It is ready and answers as ever; nothing has leaked, and nothing was connected to."""
        assert self.child.get("/health/ready") == {"ready": True, "reasons": []}
        assert self.child.answer(EURO["prompt"]) == " euro."
        said = self.child.errors.read_bytes()
        assert LEAKS.search(said) is None
        for line in map(json.loads, said.splitlines()):
            assert line["level"] == "info" or line["event"].startswith(WARNINGS)
        for key in (self.admin, self.mine, self.theirs):
            assert key.encode() not in said
        assert self.seen.read_text() == ""


@pytest.fixture(scope="package")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("hostile")
    seen, data, admin = folder / "seen", folder / "data", new_secret()
    program = (sys.executable, WATCHED, seen)
    # What a start would look up in a hub it may: it shall look nothing up.
    with serving(data, program, ERRATA_ADMIN_KEY=admin, HF_HUB_OFFLINE="0") as child:
        mine, theirs = (
            errata("keys", "create", "--scope", "edit", ERRATA_DATA_DIR=str(data)).stdout.strip()
            for _ in range(2)
        )
        (edit,) = child.post("/edits", EURO)["edits"]
        assert child.get(f"/edits/{edit['id']}", wait=30)["status"] == "applied"
        yield Target(child, admin, mine, theirs, seen)


@pytest.fixture
def unharmed(target: Target) -> Iterator[None]:
    """What the test asks for is refused or only read."""
    before = target.state()
    yield
    assert target.state() == before
    target.well()


@pytest.fixture
def alive(target: Target) -> Iterator[None]:
    """The test hands edits in: the server is well behind it."""
    yield
    target.well()
