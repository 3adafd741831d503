"""`errata log verify`."""

import json
from pathlib import Path

from service.storage.artifacts import ArtifactStore
from tests.conftest import run_server
from tests.operations.test_apply import apply
from tests.operations.test_history import currency
from tests.processes import errata


def test_whole_and_damaged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for server in run_server(data):
        apply(server, currency("Bulgaria"))
    orphan = ArtifactStore(data / "artifacts").put(b"nobody's")
    result = errata("log", "verify", ERRATA_DATA_DIR=str(data))
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    assert result.stdout == (
        f"nothing names artifact {orphan}\n2 versions, 1 batches, 1 edits, 1 artifacts: whole\n"
    )
    found = json.loads(errata("log", "verify", "--json", ERRATA_DATA_DIR=str(data)).stdout)
    assert (found["whole"], found["faults"], found["orphans"]) == (True, [], [orphan])

    for file in (data / "artifacts").iterdir():
        file.unlink()
    result = errata("log", "verify", ERRATA_DATA_DIR=str(data))
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (1, 3)
    assert lines[0].startswith("version 1 (batch 1): artifact ")
    assert lines[-1] == "2 versions, 1 batches, 1 edits, 1 artifacts: 2 faults"
    result = errata("log", "verify", "--json", ERRATA_DATA_DIR=str(data))
    assert (result.exit_code, json.loads(result.stdout)["whole"]) == (1, False)


def test_a_log_that_was_never_written(tmp_path: Path) -> None:
    result = errata("log", "verify", ERRATA_DATA_DIR=str(tmp_path / "new"))
    assert (result.exit_code, result.stderr.strip()) == (0, "")
    assert result.stdout == "0 versions, 0 batches, 0 edits, 0 artifacts: whole\n"
