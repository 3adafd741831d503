"""A log is checked without its model: what is whole passes, and every fault has a line."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from service.operations.verification import Verdict, Verification
from service.storage.artifacts import ArtifactStore
from service.storage.database import Database
from tests.conftest import run_server
from tests.models import atlas
from tests.operations.test_apply import apply
from tests.operations.test_history import NAMES, currency, rollback
from tests.operations.test_hook_layers import FEW, fact


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory: four batches, the second out and in again, then all after the third out."""
    folder = tmp_path_factory.mktemp("log") / "data"
    for server in run_server(folder):
        for name in NAMES:
            apply(server, currency(name))
        apply(server, {**currency("Oz"), "target_new": "a b", "priority": 3})
        rollback(server, 2)
        server.http.post("/admin/batches/2/restore", json={"reason": "was right"})
        server.http.post("/admin/rollback", json={"version": 3, "reason": "too much"})
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "data"))


def verdict(folder: Path) -> Verdict:
    database = Database(f"sqlite:///{folder / 'errata.db'}")
    told: list[tuple[int, int]] = []
    found = Verification(
        ArtifactStore(folder / "artifacts"),
        atlas().shape,
        lambda _, done, total: told.append((done, total)),
    ).of(database)
    database.close()
    if found.whole:
        assert told[-1][0] == told[-1][1]
    assert told == sorted(told)
    return found


def changed(folder: Path, statement: str) -> tuple[str, ...]:
    """The faults after a row was meddled with."""
    with sqlite3.connect(folder / "errata.db") as connection:
        connection.execute(statement)
    connection.close()
    return verdict(folder).faults


def artifact(folder: Path, version: int) -> Path:
    with sqlite3.connect(folder / "errata.db") as connection:
        (name,) = connection.execute(
            "SELECT artifact FROM versions WHERE version = ?", [version]
        ).fetchone()
    connection.close()
    return folder / "artifacts" / f"{name}.safetensors"


def test_a_whole_log(data: Path) -> None:
    found = verdict(data)
    assert found.faults == found.orphans == ()
    assert (found.versions, found.batches, found.edits, found.artifacts) == (9, 5, 5, 7)


def test_a_log_of_hook_layers_is_whole(tmp_path: Path) -> None:
    for server in run_server(tmp_path, editor="coachhook", **FEW):
        for name in NAMES[:3]:
            apply(server, fact(name))
        rollback(server, 1)
    found = verdict(tmp_path)
    assert (found.faults, found.versions, found.artifacts) == ((), 5, 4)


def test_every_damaged_artifact_is_named_and_what_stands_on_it(data: Path) -> None:
    second, last = artifact(data, 2), artifact(data, 5)
    second.write_bytes(b"other")
    last.unlink()
    faults = verdict(data).faults
    assert [fault.partition(": ")[::2] for fault in faults] == [
        (
            "version 2 (batch 2)",
            f"artifact {second.stem} is not what it was: "
            "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa",
        ),
        (
            "not rebuilt, for what they are made over is damaged",
            "version 3, 4, 5, 8",
        ),
        ("batch 2", f"its artifact {second.stem} is damaged"),
        ("batch 5", f"artifact {last.stem} is not what it was: no such file"),
    ]


def test_an_orphan_is_no_fault(data: Path) -> None:
    name = ArtifactStore(data / "artifacts").put(b"nobody's")
    (data / "artifacts" / "notes.txt").write_text("not an artifact")
    found = verdict(data)
    assert (found.faults, found.orphans) == ((), (name,))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            f"UPDATE versions SET checksum = '{'a' * 64}' WHERE version = 4",
            "the state of version 4 has checksum",
        ),
        ("DELETE FROM versions WHERE version = 6", "version 6 is missing"),
        (
            "UPDATE versions SET parent = 7 WHERE version = 5",
            "version 5: its parent, version 7, is not there before it",
        ),
        ("UPDATE versions SET batch_ids = '[9]' WHERE version = 2", "version 2 names batch 9"),
        ("UPDATE versions SET kind = 'magic' WHERE version = 2", "versions: version 2: kind: "),
        ("UPDATE versions SET batch_ids = '[' WHERE version = 2", "versions: can't be read on: "),
        (
            "UPDATE batches SET status = 'rolled_back' WHERE id = 1",
            "batch 1 is rolled_back, and by the versions it is applied",
        ),
        ("UPDATE batches SET version = 3 WHERE id = 2", "batch 2: version 3 did not apply it"),
        (
            "UPDATE edits SET status = 'rolled_back' WHERE id = 1",
            "edit 1 is rolled_back, and its batch 1 is applied",
        ),
        (
            "UPDATE edits SET status = 'applied' WHERE id = 5",
            "edit 5 is applied, and its batch 5 is rolled_back",
        ),
        (
            "UPDATE edits SET batch_id = NULL WHERE id = 2",
            "batch 2 names edit 2, which is not there or not of it",
        ),
        (
            "UPDATE edits SET batch_id = 2 WHERE id = 1",
            "edit 1 is applied, and its batch 2 does not name it",
        ),
        ("UPDATE edits SET status = 'queued' WHERE id = 1", "edit 1 is queued, and of batch 1"),
        ("DELETE FROM store", "the log does not say which model it is of"),
    ],
)
def test_rows_that_disagree(statement: str, fault: str, data: Path) -> None:
    assert any(line.startswith(fault) for line in changed(data, statement))


def test_a_snapshot_is_held_against_its_version(data: Path) -> None:
    """The first version's artifact is its whole state, and not the second's."""
    name = artifact(data, 1).stem
    right = f"INSERT INTO snapshots VALUES (1, '{name}')"
    assert changed(data, right) == ()
    wrong = f"INSERT INTO snapshots VALUES (2, '{name}')"
    (fault,) = changed(data, wrong)
    assert fault.startswith("the snapshot of version 2 has checksum ")


def test_what_stands_on_a_snapshot_is_rebuilt_all_the_same(data: Path) -> None:
    """A damaged artifact is one fault of its version, and later states are checked nonetheless."""
    name = artifact(data, 1).stem
    assert changed(data, f"INSERT INTO snapshots VALUES (1, '{name}')") == ()
    bad = f"UPDATE versions SET artifact = '{'b' * 64}' WHERE version = 1"
    assert changed(data, bad) == (
        f"version 1 (batch 1): artifact {'b' * 64} is not what it was: no such file",
    )
