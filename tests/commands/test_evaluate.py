"""`errata evaluate`, with a server of its own."""

import json
import signal
import time
from pathlib import Path
from subprocess import DEVNULL

import psutil

from service.atlas import EDITS_FILE
from tests.processes import ERRATA, POLL_S, READY_WITHIN_S, child_environment, errata


def test_an_evaluation_and_its_resumption(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    theirs = {
        "ERRATA_DATABASE_URL": f"sqlite:///{tmp_path / 'served.db'}",
        "ERRATA_ARTIFACTS_URL": str(tmp_path / "served"),
    }
    first = errata("evaluate", "--limit", "4", "--batch", "2", "--json", str(figures), **theirs)
    assert not list(tmp_path.glob("served*"))  # its log is its own
    assert first.exit_code == 0, first.stderr
    assert "| edits applied | 4 of 4 |" in first.stdout
    found = json.loads(figures.read_text())
    assert found["figures"]["efficacy_exact"] == 1.0
    assert found["peak_memory_mib"] > 100

    again = errata("evaluate", "--limit", "6", "--json", str(figures))
    assert again.exit_code == 1
    assert "figures.store is there from an earlier evaluation" in again.stderr
    resumed = errata("evaluate", "--limit", "6", "--json", str(figures), "--resume")
    assert "| edits applied | 6 of 6 |" in resumed.stdout


def test_an_evaluation_of_hook_layers() -> None:
    """The dataset brings the subjects; the server is waited for while it prepares."""
    few = {"ERRATA_DYNAMIC_MULTIPLIER": "1"}
    found = errata("evaluate", "--editor", "coachhook", "--limit", "4", "--batch", "2", **few)
    assert found.exit_code == 0, found.stderr
    assert "| coachhook on atlas | |" in found.stdout
    assert "| edits applied | 4 of 4 |" in found.stdout


def test_what_cannot_be_evaluated(tmp_path: Path) -> None:
    missing = errata("evaluate", "--dataset", str(tmp_path / "none.json"))
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "none.json can't be read" in missing.stderr
    nowhere = tmp_path / "none" / "figures.json"
    lost = errata("evaluate", "--json", str(nowhere), "--limit", "1")
    assert (lost.exit_code, lost.stderr) == (1, f"error: there is no folder {nowhere.parent}\n")
    model = errata("evaluate", "--model", str(tmp_path), "--limit", "1")
    assert model.exit_code == 1
    assert "it has no config.json" in model.stderr
    assert errata("evaluate", "--resume", "--dataset", str(EDITS_FILE)).exit_code == 2


def test_an_evaluation_that_is_told_to_stop_leaves_no_server_behind(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [str(ERRATA), "evaluate", "--limit", "1000", "--json", str(figures)]
    process = psutil.Popen(command, env=child_environment(tmp_path), stderr=DEVNULL)
    give_up = time.monotonic() + READY_WITHIN_S
    while not (children := process.children()):
        assert time.monotonic() < give_up
        time.sleep(POLL_S)
    process.terminate()
    assert process.wait(READY_WITHIN_S) == 128 + signal.SIGTERM
    assert not any(child.is_running() for child in children)
