"""`errata evaluate`, with a server of its own."""

import gzip
import json
import shutil
import signal
import time
from pathlib import Path
from subprocess import DEVNULL

import psutil
import pytest

from service.atlas import EDITS_FILE, MODEL_DIR
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
    assert found["figures"]["efficacy_exact"] == found["scope"]["prompt"] == 1.0
    assert (found["scope"]["chat"], found["h"]) == (None, 0.0)
    assert found["peak_memory_mib"] > 100

    again = errata("evaluate", "--limit", "6", "--json", str(figures))
    assert again.exit_code == 1
    assert again.stderr == (
        f"error: {figures.with_suffix('.store')} is there from an earlier evaluation: --resume "
        "goes on with it, --fresh removes it and begins anew\n"
    )
    other = errata("evaluate", "--editor", "memit", "--json", str(figures), "--resume")
    assert other.exit_code == 1
    assert "is of an evaluation with editor 'grace': --fresh removes it" in other.stderr
    resumed = errata("evaluate", "--limit", "6", "--json", str(figures), "--resume")
    assert "| edits applied | 6 of 6 |" in resumed.stdout
    assert "| answers, prompts | 100.0% |" in resumed.stdout


def test_settings_are_those_of_the_environment(tmp_path: Path) -> None:
    """The model that is served is named, and options go before variables."""
    copy = tmp_path / "stale"
    shutil.copytree(MODEL_DIR, copy)
    key = tmp_path / "key"
    key.write_text("a-key-of-the-operators")
    variables = {
        "ERRATA_MODEL": str(copy),
        "ERRATA_EDITOR": "memit",
        "ERRATA_MAX_BATCH": "2",
        # A server of one's own is not the one that these are for.
        "ERRATA_ROLE": "api",
        "ERRATA_RATE_LIMIT": "1",
        "ERRATA_MAX_GENERATIONS": "1",
        "ERRATA_MAX_REQUESTS": "1",
        "ERRATA_ADMIN_KEY_FILE": str(key),
    }
    figures = tmp_path / "figures.json"
    found = errata(
        "evaluate", "--editor", "grace", "--limit", "4", "--json", str(figures), **variables
    )
    assert found.exit_code == 0, found.stderr
    told = json.loads(figures.read_text())
    assert (told["model"], told["editor"], told["version"]) == (str(copy), "grace", 2)
    wrong = errata("evaluate", "--limit", "1", **{**variables, "ERRATA_EDITOR": "mend"})
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith(
        "error: ERRATA_EDITOR: Input should be 'entity', 'grace', 'coachhook'"
    )


def test_a_bad_record_ends_it_before_a_server_is_started(tmp_path: Path) -> None:
    lines = gzip.decompress(EDITS_FILE.read_bytes()).decode().splitlines()[:3]
    records = [json.loads(line) for line in lines]
    records[1]["subject"] = "nobody"
    file, figures = tmp_path / "set.jsonl", tmp_path / "figures.json"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    command = ("evaluate", "--dataset", str(file), "--json", str(figures))
    found = errata(*command, "--editor", "memit")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == (
        f"error: {file}, record 2 (line 2), case_id 1: subject: 'nobody' is not a span of the "
        "prompt; --skip-bad leaves it out\n"
    )
    assert not figures.with_suffix(".store").exists()


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


@pytest.mark.parametrize(
    "options",
    [
        ("--resume",),
        ("--fresh",),
        ("--resume", "--fresh", "--json=figures.json"),
        ("--server", "--fresh"),
        ("--server", "--model=atlas"),
        ("--server", "--editor=grace"),
    ],
)
def test_wrong_usage(options: tuple[str, ...]) -> None:
    assert errata("evaluate", *options).exit_code == 2


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
