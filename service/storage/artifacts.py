"""Files named by the sha256 of their content, written so that a name never lies."""

import hashlib
import os
import tempfile
from pathlib import Path

from service.errors import LogCorruptError


class ArtifactStore:
    """A folder of immutable safetensors files: `<folder>/<sha256>.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes) -> str:
        """Returns the content's name once it is on disk for good: written beside its place, synced,
        renamed, and the folder synced, so that a crash leaves the whole file or none.
        """
        name = hashlib.sha256(content).hexdigest()
        target = self._path(name)
        if target.exists():
            return name
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).rename(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
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
