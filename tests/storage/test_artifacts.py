"""An artifact is whole or absent, and what it was: in a folder and in object storage."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from service.errors import ArtifactsUnreachableError, LogCorruptError, StartupError
from service.storage.artifacts import ArtifactStore

NAME = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"  # of `content`
BUCKET = "memory://bucket/prefix"


@pytest.fixture
def bucket() -> Iterator[str]:
    """The URL of object storage that ends with the test."""
    memory = fsspec.filesystem("memory")
    yield BUCKET
    memory.store.clear()


@pytest.fixture(params=["folder", "url of a folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "bucket":
        return ArtifactStore(request.getfixturevalue("bucket"))
    return ArtifactStore(tmp_path if request.param == "folder" else f"file://{tmp_path}")


def test_what_is_put_is_got_listed_and_removed(store: ArtifactStore) -> None:
    assert store.sizes() == {}
    begun = datetime.now(UTC)
    assert store.put(b"content") == store.put(b"content") == NAME
    assert store.get(NAME) == b"content"
    assert store.sizes() == {NAME: 7}
    file, ended = f"{NAME}.safetensors", datetime.now(UTC) + timedelta(seconds=1)
    assert not store.remove(file, begun - timedelta(seconds=1))
    assert store.sizes() == {NAME: 7}
    assert store.remove(file, ended)
    assert not store.remove(file, ended)
    with pytest.raises(LogCorruptError, match="no such file"):
        store.get(NAME)


@pytest.mark.parametrize("damaged", [b"", b"conten", b"contend"])
def test_what_is_put_again_is_whole_again(damaged: bytes, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.put(b"content")
    (tmp_path / f"{NAME}.safetensors").write_bytes(damaged)
    assert store.put(b"content") == NAME
    assert store.get(NAME) == b"content"


def test_a_pipe_in_an_artifacts_place_is_not_waited_for(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    os.mkfifo(tmp_path / f"{NAME}.safetensors")
    with pytest.raises(ArtifactsUnreachableError, match="is no file"):
        store.get(NAME)


def test_objects_lie_under_their_hashes(bucket: str) -> None:
    store, memory = ArtifactStore(bucket + "/"), fsspec.filesystem("memory")
    store.put(b"content")
    assert memory.cat_file(f"/bucket/prefix/{NAME}.safetensors") == b"content"
    memory.pipe_file("/bucket/prefix/deeper/file", b"")
    memory.pipe_file(f"/bucket/prefix/{NAME}.safetensors", b"other")
    assert store.sizes() == {NAME: 5}
    with pytest.raises(LogCorruptError, match=f"expected sha256 {NAME}"):
        store.get(NAME)
    assert store.put(b"content") == NAME  # which heals it
    assert store.get(NAME) == b"content"


def test_storage_in_trouble_is_one_line(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the endpoint\n is gone")

    store.check()
    assert store.partials() == []
    for name in ("read", "write", "entries", "written_at"):
        monkeypatch.setattr(store._place, name, broken)
    monkeypatch.setattr(store._place, "renew", lambda _: False)
    for call in (
        lambda: store.put(b"content"),
        lambda: store.get(NAME),
        store.sizes,
        store.check,
        lambda: store.remove("x", datetime.now(UTC)),
    ):
        with pytest.raises(ArtifactsUnreachableError) as caught:
            call()
        assert str(caught.value) == "the artifacts can't be reached: the endpoint is gone"


def test_storage_that_nothing_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    known = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(known, "s3", raising=False)  # what another test has used
    with pytest.raises(StartupError, match=r"pip install 'errata-server\[s3\]'"):
        ArtifactStore("s3://bucket/prefix")
    with pytest.raises(StartupError, match="ERRATA_ARTIFACTS_URL: Protocol not known: s4"):
        ArtifactStore("s4://bucket/prefix")


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
