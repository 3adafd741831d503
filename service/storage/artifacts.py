"""Files named by the sha256 of their content, written so that a name never lies."""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from service.errors import ArtifactsUnreachableError, LogCorruptError, StartupError
from service.storage.bucket import Bucket
from service.storage.folder import Folder
from service.storage.place import Entry, Place

SUFFIX = ".safetensors"
PARTIAL = ".partial"  # what a write that was cut off leaves
CHECK = "check" + PARTIAL
OWNER = "log.txt"  # names the log whose artifacts these are
NAME = re.compile(r"[0-9a-f]{64}" + re.escape(SUFFIX))
LOCAL = "file://"


def place_of(where: Path | str) -> Place:
    """A folder by its path, anything else by its URL. Raises `StartupError`."""
    if isinstance(where, str) and "://" in where and not where.startswith(LOCAL):
        return Bucket(where)
    return Folder(Path(str(where).removeprefix(LOCAL)))


class ArtifactStore:
    """Immutable safetensors files, `<sha256>.safetensors`, in a folder or in object storage.

    Everything raises `ArtifactsUnreachableError` if that can't be reached.
    """

    def __init__(self, where: Path | str) -> None:
        with _reaching():
            self._place = place_of(where)

    def check(self) -> None:
        """Writes a file: what can't be written to is better known at the start."""
        with _reaching():
            self._place.write(CHECK, b"")
            with contextlib.suppress(Exception):  # there are places that nothing is removed from
                self._place.remove(CHECK)

    def belong_to(self, log: str) -> None:
        """Raises `StartupError` if they are another log's, which would lose those that this one
        does not name.
        """
        found = self._owner()
        if found is None:
            with _reaching():
                self._place.write(OWNER, log.encode())
        elif found != log:
            raise StartupError(
                "the artifacts are another log's: give each log an ERRATA_ARTIFACTS_URL, or an "
                f"ERRATA_DATA_DIR, of its own; if the other log is gone, remove {OWNER} there"
            )

    def leave(self, log: str | None) -> None:
        """They are no more this log's, if they were."""
        if log is not None and self._owner() == log:
            with _reaching():
                self._place.remove(OWNER)

    def put(self, content: bytes) -> str:
        """Returns the content's name once it is stored for good."""
        name = hashlib.sha256(content).hexdigest()
        file = name + SUFFIX
        with _reaching():
            # One that nobody named so far is young again: no sweep takes it from who names it next.
            # And one that was damaged since is whole again.
            if not (self._place.renew(file) and self._place.read(file) == content):
                self._place.write(file, content)
        return name

    def get(self, name: str) -> bytes:
        """Raises `LogCorruptError` if the file is missing or its content is not what it was."""
        with _reaching():
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
            for entry in self._entries()
            if NAME.fullmatch(entry.name)
        }

    def partials(self) -> list[str]:
        """Files that writes began and did not end."""
        return [entry.name for entry in self._entries() if entry.name.endswith(PARTIAL)]

    def remove(self, file: str, before: datetime) -> bool:
        """Removes an artifact's or a partial file, unless it was written later than `before`;
        whether it did.
        """
        # Another server may be at it too.
        with _reaching(), contextlib.suppress(FileNotFoundError):
            if self._place.written_at(file) < before:
                self._place.remove(file)
                return True
        return False

    def _owner(self) -> str | None:
        with _reaching():
            try:
                return self._place.read(OWNER).decode(errors="replace")
            except FileNotFoundError:
                return None

    def _entries(self) -> list[Entry]:
        with _reaching():
            return list(self._place.entries())


@contextlib.contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except StartupError:  # says itself what is wrong
        raise
    except Exception as error:  # storage clients raise whatever their parts do
        raise ArtifactsUnreachableError(" ".join(f"{error}".split()) or repr(error)) from error
