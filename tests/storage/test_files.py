"""A folder is there whole or not at all."""

from pathlib import Path

import pytest

from service.storage.files import whole_folder


def test_a_folder_that_is_written(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with whole_folder(target) as folder:
        (folder / "file").write_text("text")
        (folder / "file").chmod(0o600)
        assert not target.exists()
    assert (target / "file").read_text() == "text"
    (tmp_path / "other").write_text("")
    mode = (tmp_path / "other").stat().st_mode
    assert (target / "file").stat().st_mode == mode
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with whole_folder(tmp_path / "folder") as folder:
            (folder / "file").write_text("text")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_what_came_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "folder"

    def write() -> None:
        with whole_folder(target) as folder:
            (folder / "file").write_text("text")
            target.mkdir()
            (target / "mine").write_text("mine")

    with pytest.raises(OSError, match="not empty"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "mine"]
