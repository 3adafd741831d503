"""A start removes what nobody names, once it is old; never what the log names."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import StartupError
from service.operations.sweeping import sweep
from service.storage.artifacts import ArtifactStore
from service.storage.database import open_database
from service.storage.folder import Folder
from tests.conftest import run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import currency
from tests.processes import errata

HOUR_S = 3_600


def aged(file: Path, seconds: int = HOUR_S + 60) -> Path:
    moment = time.time() - seconds
    os.utime(file, (moment, moment))
    return file


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    folder = tmp_path / "data" / "artifacts"
    return lambda content: folder / f"{ArtifactStore(folder).put(content)}.safetensors"


def test_a_start_sweeps(
    tmp_path: Path, put: Callable[[bytes], Path], caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    for server in run_server(data):
        apply(server, currency("Bulgaria"))
    (named,) = (data / "artifacts").glob("*.safetensors")
    aged(named)
    snapshot = aged(put(b"named by a snapshot alone"))
    with sqlite3.connect(data / "errata.db") as connection:
        connection.execute("INSERT INTO snapshots VALUES (0, ?)", [snapshot.stem])
    connection.close()
    aged(put(b"old"))
    young = put(b"young")
    partial = data / "artifacts" / "tmpx.partial"
    partial.write_bytes(b"")
    aged(partial)
    fresh = data / "artifacts" / "tmpy.partial"
    fresh.write_bytes(b"")
    foreign = data / "artifacts" / "notes.txt"
    foreign.write_text("not ours")
    aged(foreign)
    for _ in run_server(data):
        pass
    kept = {named, snapshot, young, fresh, foreign, data / "artifacts" / "log.txt"}
    assert set((data / "artifacts").iterdir()) == kept
    assert "2 artifacts that the log does not name were removed" in caplog.text


def test_what_is_written_again_is_young_again(tmp_path: Path, put: Callable[[bytes], Path]) -> None:
    """A batch may come to what one before it came to, and is about to name it."""
    data = tmp_path / "data"
    for server in run_server(data):
        apply(server, currency("Bulgaria"))
    file = aged(put(b"again"))
    put(b"again")
    database = open_database(f"sqlite:///{data / 'errata.db'}")
    assert sweep(database, ArtifactStore(data / "artifacts")) == 0
    aged(file)
    assert sweep(database, ArtifactStore(data / "artifacts")) == 1
    database.close()


def test_a_log_that_names_nothing_sweeps_nothing(
    tmp_path: Path, put: Callable[[bytes], Path]
) -> None:
    file = aged(put(b"of another log"))
    for _ in run_server(tmp_path / "data"):
        pass
    assert file.exists()


def test_two_logs_share_no_place(tmp_path: Path) -> None:
    """Each would remove what the other one names."""
    place = str(tmp_path / "shared")
    for _ in run_server(tmp_path / "one", artifacts_url=place):
        pass
    with pytest.raises(StartupError, match="another log's"):
        next(run_server(tmp_path / "two", artifacts_url=place))


def test_a_log_that_was_moved_keeps_its_artifacts(tmp_path: Path) -> None:
    place = {"artifacts_url": str(tmp_path / "shared")}
    for server in run_server(tmp_path / "one", **place):
        apply(server, currency("Bulgaria"))
    settings = {"ERRATA_ARTIFACTS_URL": place["artifacts_url"]}
    archive = str(tmp_path / "log.tar")
    for command, folder in (("export", "one"), ("import", "two")):
        moved = errata("log", command, archive, ERRATA_DATA_DIR=str(tmp_path / folder), **settings)
        assert moved.exit_code == 0, moved.stderr
    for server in run_server(tmp_path / "two", **place):
        assert server.http.get("/version").json()["version"] == 1


def test_a_place_that_nothing_is_removed_from(
    tmp_path: Path,
    put: Callable[[bytes], Path],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for server in run_server(tmp_path / "data"):
        apply(server, currency("Bulgaria"))
    aged(put(b"old"))

    def refused(*_: object) -> None:
        raise PermissionError("access denied")

    monkeypatch.setattr(Folder, "remove", refused)
    for server in run_server(tmp_path / "data"):
        assert server.http.get("/health/ready").json()["ready"]
    assert "were left: the artifacts can't be reached: access denied" in caplog.text
