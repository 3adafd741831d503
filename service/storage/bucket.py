"""Artifacts in object storage, or in whatever else fsspec reaches."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

import fsspec

from service.errors import StartupError
from service.storage.place import Entry

EXTRAS = {"s3": "s3fs"}  # by protocol: the extra's name, and the package that it brings


class Bucket:
    """Objects are written whole: there is nothing to rename and nothing to sync."""

    def __init__(self, url: str) -> None:
        """Raises `StartupError` if nothing that is installed reaches it."""
        protocol = url.partition("://")[0]
        try:
            self._files, path = fsspec.url_to_fs(url)
        except ImportError as error:
            reason = f"{error}"
            if protocol in EXTRAS:
                reason = (
                    f"it needs the package {EXTRAS[protocol]}, which is not installed: "
                    f"pip install 'errata-server[{protocol}]'"
                )
            raise StartupError(f"ERRATA_ARTIFACTS_URL is of '{protocol}': {reason}") from error
        except ValueError as error:
            raise StartupError(f"ERRATA_ARTIFACTS_URL: {error}") from error
        self._path = path.rstrip("/")

    def read(self, name: str) -> bytes:
        content: bytes = self._files.cat_file(self._at(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        self._files.pipe_file(self._at(name), content)

    def renew(self, name: str) -> bool:  # noqa: ARG002
        """No object's age can be changed: it is written again."""
        return False

    def entries(self) -> Iterator[Entry]:
        self._files.invalidate_cache()  # others write too
        found = self._files.find(self._path, maxdepth=1, detail=True)
        for path, about in found.items():
            yield Entry(path.rpartition("/")[2], about["size"])

    def written_at(self, name: str) -> datetime:
        self._files.invalidate_cache()
        moment: datetime = self._files.modified(self._at(name))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"
