"""`errata log export` and `import`: a log moves to another place as it is."""

import json
import tarfile
from pathlib import Path
from typing import Any

from tests.conftest import Server, run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import NAMES, answers, currency, rollback
from tests.processes import errata


def told(server: Server) -> list[Any]:
    """All that clients can learn of the log, and what it makes the model say."""
    paths = ("/edits", "/batches", "/versions")
    listed = [server.http.get(path).json() for path in paths]
    whole = [server.http.get(f"/edits/{edit['id']}").json() for edit in listed[0]["edits"]]
    return [*listed, whole, server.http.get("/version").json(), answers(server)]


def test_a_log_is_moved(tmp_path: Path) -> None:
    data, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "log.tar"
    for server in run_server(data):
        for name in NAMES:
            apply(server, currency(name))
        server.http.post("/edits", json=currency("Oz"), headers={"Idempotency-Key": "once"})
        rollback(server, 2)
        assert server.http.get("/edits/5", params={"wait": 30}).json()["status"] == "applied"
        before = told(server)
        # Beside the server, which goes on.
        result = errata("log", "export", str(file), ERRATA_DATA_DIR=str(data))
        assert (result.exit_code, result.stderr.strip()) == (0, "")
        assert result.stdout == "7 versions, 5 batches, 5 edits, 6 artifacts of 'atlas'\n"
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    assert not [name for name in names if "key" in name]
    assert b"a-key-for-tests" not in file.read_bytes()

    result = errata("log", "import", str(file), "--json", ERRATA_DATA_DIR=str(other))
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    assert json.loads(result.stdout)["edits"] == 5
    assert errata("log", "verify", ERRATA_DATA_DIR=str(other)).exit_code == 0
    for server in run_server(other):
        assert told(server) == before
        (edit,) = apply(server, currency("Sweden"))
        assert (edit["id"], edit["batch_id"]) == (6, before[1]["batches"][-1]["id"] + 1)
        # The key here is another one than there, and what it asks another request.
        again = server.http.post("/edits", json=currency("Oz"), headers={"Idempotency-Key": "once"})
        assert [edit["id"] for edit in again.json()["edits"]] == [7]

    again_in = errata("log", "import", str(file), ERRATA_DATA_DIR=str(other))
    assert (again_in.exit_code, again_in.stdout) == (1, "")
    assert again_in.stderr.strip() == "error: the log here is not empty: it has versions"


def test_a_server_that_has_begun_a_log_may_take_one_in(tmp_path: Path) -> None:
    data, other, file = tmp_path / "data", tmp_path / "other", tmp_path / "log.tar"
    for server in run_server(data):
        apply(server, currency("Peru"))
        before = told(server)
    assert errata("log", "export", str(file), ERRATA_DATA_DIR=str(data)).exit_code == 0
    for _ in run_server(other):
        pass
    result = errata("log", "import", str(file), ERRATA_DATA_DIR=str(other))
    assert (result.exit_code, result.stdout) == (0, "2 versions, 1 batches, 1 edits, 1 artifacts\n")
    for server in run_server(other):
        assert told(server) == before


def test_what_is_refused(tmp_path: Path) -> None:
    data, file = str(tmp_path / "data"), tmp_path / "log.tar"
    nothing = errata("log", "export", str(file), ERRATA_DATA_DIR=data)
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr.strip() == "error: there is no log here: no server has begun one"
    assert not file.exists()
    file.write_bytes(b"something of mine")
    there = errata("log", "export", str(file), ERRATA_DATA_DIR=data)
    assert there.stderr.strip() == f"error: {file} is there already"
    assert file.read_bytes() == b"something of mine"
    assert errata("log", "import", str(file), ERRATA_DATA_DIR=data).stderr.strip() == (
        "error: the archive is cut off"
    )
    missing = errata("log", "import", str(tmp_path / "none"), ERRATA_DATA_DIR=data)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "No such file" in missing.stderr
    nowhere = errata("log", "export", str(tmp_path / "no" / "log.tar"), ERRATA_DATA_DIR=data)
    assert (nowhere.exit_code, nowhere.stderr) == (
        1,
        f"error: there is no folder {tmp_path / 'no'}\n",
    )
