"""Artifacts in a folder, local or shared."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from errno import EINVAL
from pathlib import Path

from service.storage.files import write_whole
from service.storage.place import Entry


class Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        file = self._path / name
        if file.exists() and not file.is_file():  # from a pipe nothing may ever come
            raise OSError(EINVAL, "is no file", name)
        return file.read_bytes()

    def write(self, name: str, content: bytes) -> None:
        write_whole(self._path / name, content)

    def renew(self, name: str) -> bool:
        try:
            os.utime(self._path / name)
        except FileNotFoundError:
            return False
        return True

    def entries(self) -> Iterator[Entry]:
        with os.scandir(self._path) as found:
            for file in found:
                try:
                    if file.is_file(follow_symlinks=False):
                        yield Entry(file.name, file.stat().st_size)
                except FileNotFoundError:  # gone since
                    continue

    def written_at(self, name: str) -> datetime:
        return datetime.fromtimestamp((self._path / name).stat().st_mtime, UTC)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)
