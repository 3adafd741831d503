"""Files named by the sha256 of their content, written so that a name never lies."""

import contextlib
import hashlib
import re
from datetime import datetime
from pathlib import Path

from service.errors import LogCorruptError
from service.storage.folder import Folder

SUFFIX = ".safetensors"
PARTIAL = ".partial"  # what a write that was cut off leaves
NAME = re.compile(r"[0-9a-f]{64}" + re.escape(SUFFIX))


class ArtifactStore:
    """Immutable safetensors files: `<folder>/<sha256>.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self._place = Folder(folder)

    def put(self, content: bytes) -> str:
        """Returns the content's name once it is stored for good."""
        name = hashlib.sha256(content).hexdigest()
        # One that nobody named so far is young again: no sweep takes it from who names it next.
        if not self._place.renew(name + SUFFIX):
            self._place.write(name + SUFFIX, content)
        return name

    def get(self, name: str) -> bytes:
        """Raises `LogCorruptError` if the file is missing or its content is not what it was."""
        try:
            content = self._place.read(name + SUFFIX)
        except FileNotFoundError:
            raise LogCorruptError(f"artifact {name}{SUFFIX}", name, "no such file") from None
        found = hashlib.sha256(content).hexdigest()
        if found != name:
            raise LogCorruptError(f"artifact {name}{SUFFIX}", name, found)
        return content

    def sizes(self) -> dict[str, int]:
        """Bytes of every artifact that is there."""
        return {
            entry.name.removesuffix(SUFFIX): entry.size
            for entry in self._place.entries()
            if NAME.fullmatch(entry.name)
        }

    def partials(self) -> list[str]:
        """Files that writes began and did not end."""
        return [entry.name for entry in self._place.entries() if entry.name.endswith(PARTIAL)]

    def remove(self, file: str, before: datetime) -> bool:
        """Removes an artifact's or a partial file, unless it was written later than `before`;
        whether it did.
        """
        with contextlib.suppress(FileNotFoundError):  # another server may be at it too
            if self._place.written_at(file) < before:
                self._place.remove(file)
                return True
        return False
