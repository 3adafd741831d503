"""Files named by the sha256 of their content, written so that a name never lies."""

import hashlib
from pathlib import Path

from service.errors import LogCorruptError
from service.storage.files import write_whole


class ArtifactStore:
    """A folder of immutable safetensors files: `<folder>/<sha256>.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Returns the content's name once it is on disk for good."""
        name = hashlib.sha256(content).hexdigest()
        target = self._path(name)
        if target.exists():
            return name
        write_whole(target, content)
        return name

    def get(self, name: str) -> bytes:
        """Raises `LogCorruptError` if the file is missing or its content is not what it was."""
        try:
            content = self._path(name).read_bytes()
        except FileNotFoundError:
            raise LogCorruptError(f"artifact {name}.safetensors", name, "no such file") from None
        found = hashlib.sha256(content).hexdigest()
        if found != name:
            raise LogCorruptError(f"artifact {name}.safetensors", name, found)
        return content

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"
