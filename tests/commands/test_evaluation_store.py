"""The log beside an evaluation's figures: gone on with, begun anew, and never another's."""

import json
from pathlib import Path

import pytest
import typer
from filelock import FileLock

from service.commands.evaluation_store import prepare
from tests.processes import errata

ABOUT = {"model": "atlas", "editor": "grace"}


def store_of(figures: Path) -> Path:
    return figures.with_suffix(".store")


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_store_is_begun_anew(tmp_path: Path) -> None:
    store = tmp_path / "figures.store"
    prepare(store, ABOUT, resume=False, fresh=True)
    (store / "artifacts").mkdir()
    for name in ("errata.db", "lock", "artifacts/1"):
        (store / name).write_text("of the first run")
    (store / "elsewhere").symlink_to(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("keep me")

    prepare(store, ABOUT, resume=True, fresh=False)
    assert "errata.db" in names(store)
    other = {**ABOUT, "editor": "memit"}
    prepare(store, other, resume=False, fresh=True)
    assert names(store) == ["evaluation.json"]
    assert json.loads((store / "evaluation.json").read_text()) == other
    assert names(tmp_path / "kept") == ["file"]


def test_an_evaluation_goes_on_as_it_began(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "figures.store"
    prepare(store, ABOUT, resume=False, fresh=False)
    with pytest.raises(typer.Exit):
        prepare(store, {**ABOUT, "editor": "memit"}, resume=True, fresh=False)
    assert "is of an evaluation with editor 'grace': --fresh removes it" in capsys.readouterr().err


def test_a_store_of_a_version_without_marks_goes_on(tmp_path: Path) -> None:
    store = tmp_path / "figures.store"
    store.mkdir()
    prepare(store, ABOUT, resume=True, fresh=False)
    assert names(store) == []


def test_only_a_store_of_the_command_is_removed(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    store = store_of(figures)
    store.mkdir()
    (store / "mine.txt").write_text("keep me")
    command = ("evaluate", "--limit", "1", "--json", str(figures), "--fresh")
    refused = errata(*command)
    assert refused.exit_code == 1
    assert refused.stderr == (
        f"error: {store} was not made by `errata evaluate`, and is not removed\n"
    )
    (store / "evaluation.json").write_text("{}")
    with FileLock(store / "lock"):
        assert errata(*command).stderr == f"error: an evaluation is at work in {store}\n"
    (tmp_path / "real").mkdir()
    store.rename(tmp_path / "moved")
    store.symlink_to(tmp_path / "moved")
    assert "was not made by" in errata(*command).stderr
    assert (store / "mine.txt").read_text() == "keep me"
