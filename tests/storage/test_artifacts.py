"""An artifact is whole or absent, and what it was."""

from pathlib import Path

import pytest

from service.errors import LogCorruptError
from service.storage.artifacts import ArtifactStore


def test_content_comes_back_by_its_hash(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    name = store.put(b"content")
    assert name == "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert store.put(b"content") == name
    assert store.get(name) == b"content"
    assert [file.name for file in tmp_path.iterdir()] == [f"{name}.safetensors"]


def test_damage_is_found(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    name = store.put(b"content")
    (tmp_path / f"{name}.safetensors").write_bytes(b"other")
    with pytest.raises(LogCorruptError, match=name):
        store.get(name)
    (tmp_path / f"{name}.safetensors").unlink()
    with pytest.raises(LogCorruptError, match="no such file"):
        store.get(name)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(tmp_path)

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        store.put(b"content")
    assert list(tmp_path.iterdir()) == []
