"""Servers whose artifacts lie in object storage, for which a file system in memory stands in."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from service.errors import StartupError
from service.storage.bucket import Bucket
from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import answers, checksum, currency
from tests.processes import errata

URL = "memory://errata/log"


@pytest.fixture
def files() -> Iterator[Any]:
    memory = fsspec.filesystem("memory")
    yield memory
    memory.rm("/errata", recursive=True)


@pytest.fixture
def data(files: Any, tmp_path: Path) -> Path:  # noqa: ARG001
    """A data directory whose artifacts lie elsewhere."""
    for server in run_server(tmp_path / "data", artifacts_url=URL):
        apply(server, currency("Bulgaria"))
        apply(server, currency("Peru"))
    return tmp_path / "data"


def test_a_log_lives_there(data: Path, files: Any, tmp_path: Path) -> None:
    assert not (data / "artifacts").exists()
    assert len(files.glob("/errata/log/*.safetensors")) == 2
    where = {"ERRATA_DATA_DIR": str(data), "ERRATA_ARTIFACTS_URL": URL}
    found = json.loads(errata("log", "verify", "--json", **where).stdout)
    assert (found["whole"], found["artifacts"], found["orphans"]) == (True, 2, [])
    files.pipe_file("/errata/log/" + "a" * 64 + ".safetensors", b"nobody's")
    files.pipe_file("/errata/log/" + "b" * 64 + ".safetensors", b"nobody's, and old")
    files.store["/errata/log/" + "b" * 64 + ".safetensors"].modified -= timedelta(hours=2)
    for server in run_server(data, artifacts_url=URL):
        before = checksum(server), answers(server)
        assert before[1][:2] == [" euro.", " euro."]
    found = json.loads(errata("log", "verify", "--json", **where).stdout)
    assert (found["whole"], found["orphans"]) == (True, ["a" * 64])

    # To a folder, by a file.
    file, other = str(tmp_path / "log.tar"), tmp_path / "other"
    assert errata("log", "export", file, **where).exit_code == 0
    assert errata("log", "import", file, ERRATA_DATA_DIR=str(other)).exit_code == 0
    for server in run_server(other):
        assert (checksum(server), answers(server)) == before


def history(server: Server) -> Any:
    body = {"prompt": currency("Peru")["prompt"], "version": 1}
    return server.http.post("/generate", json=body)


def test_storage_that_is_away(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no route to the bucket")

    for server in run_server(data, artifacts_url=URL):
        with monkeypatch.context() as away:
            away.setattr(Bucket, "read", broken)
            away.setattr(Bucket, "write", broken)
            answer = history(server)
            assert answer.status_code == 503
            assert answer.json()["detail"].startswith("storage does not answer; try again")
            assert answers(server)[1] == " euro."  # the present needs none
            queued = server.http.post("/edits", json=currency("Chad")).json()["edits"][0]["id"]
            waiting = server.http.get(f"/edits/{queued}", params={"wait": 2}).json()
            assert waiting["status"] in ("queued", "applying")
        assert history(server).status_code == 200
        # No edit is blamed: it is applied once the storage is there again.
        assert (
            server.http.get(f"/edits/{queued}", params={"wait": 30}).json()["status"] == "applied"
        )
    monkeypatch.setattr(Bucket, "read", broken)
    with pytest.raises(StartupError, match="the artifacts can't be reached: no route"):
        next(run_server(data, artifacts_url=URL))
    result = errata("log", "verify", ERRATA_DATA_DIR=str(data), ERRATA_ARTIFACTS_URL=URL)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.strip().endswith(
        "error: the artifacts can't be reached: no route to the bucket"
    )
