"""A disk that is full, and has room again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ADMIN_KEY
from tests.processes import EURO, Child, serving

SIZE = 4 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Takes all the room that is left, down to the last byte."""
    file = disk / "filler"
    with file.open("ab", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while filler.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return file


def status(child: Child, number: int) -> str:
    return str(child.get(f"/edits/{number}")["status"])


def test_a_full_disk_takes_nothing_and_breaks_nothing(disk: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"  # what the server prints is on another disk
    data.symlink_to(disk / "data")
    (disk / "data").mkdir()
    variables = {"ERRATA_ADMIN_KEY": ADMIN_KEY, "ERRATA_LINGER_MS": "1000"}
    with serving(data, **variables) as child:
        (first,) = child.post("/edits", EURO)["edits"]
        filler = fill(disk)  # while the batch waits to fill
        refused = child.http.post("/edits", json={**EURO, "target_new": "dollar"})
        assert refused.status_code == 503
        assert child.answer(EURO["prompt"]) == " lev."
        assert status(child, first["id"]) in ("queued", "applying")
        filler.unlink()
        assert child.get(f"/edits/{first['id']}", wait=60)["status"] == "applied"
        assert child.answer(EURO["prompt"]) == " euro."
        fill(disk)
        assert child.http.post("/admin/batches/1/rollback", json={"reason": "x"}).status_code == 503
        assert child.answer(EURO["prompt"]) == " euro."
        child.kill()
    filler.unlink()
    with serving(data, **variables) as child:
        assert child.answer(EURO["prompt"]) == " euro."
        assert [len(child.get(f"/{what}")[what]) for what in ("edits", "versions")] == [1, 2]
        assert child.post("/admin/batches/1/rollback", {"reason": "x"})["version"] == 2
        assert not list(data.rglob("*.partial"))
