"""Statistics are made once, taken up after an interruption, and never another model's."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from service.errors import StartupError, StoppedError
from service.operations.statistics import Statistics
from service.storage.statistics import StatisticsStore
from tests.conftest import run_server
from tests.models import atlas_engine
from tests.operations.test_hook_layers import FEW, fact

LAYERS = (1, 3)


def statistics(folder: Path, fingerprint: str = "f" * 64, text: Path | None = None) -> Statistics:
    return Statistics(atlas_engine(), StatisticsStore(folder, fingerprint), text, multiplier=1)


def test_an_interrupted_run_is_taken_up(tmp_path: Path) -> None:
    whole = statistics(tmp_path / "whole").of(LAYERS)

    stopped = statistics(tmp_path / "parts")
    steps: list[int] = []

    def stop_midway(what: str, done: int, _total: int) -> None:
        if what == "statistics of layers 1, 3" and done:
            steps.append(done)
            stopped.stop()

    with pytest.raises(StoppedError):
        stopped.of(LAYERS, stop_midway)
    resumed: list[int] = []
    again = statistics(tmp_path / "parts").of(
        LAYERS, lambda what, done, _: resumed.append(done) if "layers" in what else None
    )
    assert resumed[0] > steps[0]
    assert {n: one.digest for n, one in again.items()} == {n: o.digest for n, o in whole.items()}
    assert not list((tmp_path / "parts").glob("**/progress*"))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    statistics(tmp_path).of(LAYERS)
    told: list[Any] = []
    statistics(tmp_path).of((3,), lambda *step: told.append(step))
    assert told == []


def test_another_models_statistics_are_refused(tmp_path: Path) -> None:
    statistics(tmp_path, "a" * 64).of((1,))
    shutil.copytree(tmp_path / ("a" * 16), tmp_path / ("b" * 16))
    with pytest.raises(StartupError, match="is of the model with fingerprint aaaaaaaaaaaa, and"):
        statistics(tmp_path, "b" * 64).of((1,))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    statistics(tmp_path).of((1,))
    (file,) = tmp_path.glob("**/layer-1.safetensors")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(StartupError, match=r"layer-1.safetensors is damaged: remove it"):
        statistics(tmp_path).of((1,))


def test_a_text_that_is_too_small_is_refused_with_the_figures(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The capital of Peru is Lima. ")
    with pytest.raises(StartupError, match="has 8 tokens, and 2048 are asked for"):
        statistics(tmp_path, text=text).check((1,))


def test_the_server_says_that_it_prepares_and_takes_edits_meanwhile(tmp_path: Path) -> None:
    for server in run_server(tmp_path, editor="coachhook", **FEW):
        found = server.http.get("/health/ready")
        assert found.status_code == 503
        (reason,) = found.json()["reasons"]
        assert reason.startswith("'coachhook' is being prepared: ")
        (queued,) = server.http.post("/edits", json=fact("Peru")).json()["edits"]
        edit = server.http.get(f"/edits/{queued['id']}", params={"wait": 60}).json()
        assert edit["status"] == "applied"
        assert server.http.get("/health/ready").json() == {"ready": True, "reasons": []}
    for server in run_server(tmp_path, editor="coachhook", **FEW):
        assert server.http.get("/health/ready").status_code == 200  # at once


def test_statistics_that_a_batch_was_made_with_must_be_there(tmp_path: Path) -> None:
    for server in run_server(tmp_path, editor="memit", **FEW):
        for name in ("Peru", "Chad"):
            (queued,) = server.http.post("/edits", json=fact(name)).json()["edits"]
            server.http.get(f"/edits/{queued['id']}", params={"wait": 60})
    (folder,) = tmp_path.glob("statistics/*/samples-1x")
    shutil.rmtree(folder)
    for server in run_server(tmp_path, **FEW):
        answer = server.http.post("/admin/batches/1/rollback", json={"reason": "test"})
        assert answer.status_code == 409
        assert "are not those that the log was made with" in answer.json()["detail"]
