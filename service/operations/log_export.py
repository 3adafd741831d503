"""A whole log in one file: its manifest, its rows and its artifacts."""

import contextlib
import hashlib
import io
import tempfile
from pathlib import Path
from typing import IO

from service.domain.progress import Advance
from service.errors import ArchiveError, LogCorruptError
from service.storage.artifacts import SUFFIX, ArtifactStore
from service.storage.contents import Contents, contents
from service.storage.database import Database, now
from service.storage.files import whole
from service.storage.manifest import (
    FORMAT,
    MANIFEST,
    Manifest,
    Part,
    artifact_name,
    rows_name,
)
from service.storage.records import TABLES, Record, StoreRecord, table_name
from service.storage.tar import add, writing


class LogExport:
    """Rows are copied at one moment of the database, artifacts after it: those that a log names
    never change and never go. A server may be at work meanwhile.
    """

    def __init__(self, database: Database, artifacts: ArtifactStore, advance: Advance) -> None:
        self._database = database
        self._artifacts = artifacts
        self._advance = advance

    def to(self, target: Path) -> Manifest:
        """Raises `ArchiveError` if there is such a file, no folder for it, or no log;
        `LogCorruptError` if that is damaged.
        """
        if target.exists():
            raise ArchiveError(f"{target} is there already")
        if not target.parent.is_dir():
            raise ArchiveError(f"there is no folder {target.parent}")
        with contextlib.ExitStack() as stack:
            dumps = {
                kind: Dump(kind, stack.enter_context(tempfile.TemporaryFile(dir=target.parent)))
                for kind in TABLES
            }
            with contents(self._database) as rows:
                total = sum(rows.count(kind) for kind in TABLES)
                done = 0
                for dump in dumps.values():
                    dump.fill(rows)
                    done += dump.count
                    self._advance("rows", done, total)
            manifest = self._manifest(dumps)
            with whole(target) as file:
                self._write(file, manifest, dumps)
        return manifest

    def _manifest(self, dumps: "dict[type[Record], Dump]") -> Manifest:
        store = dumps[StoreRecord].last
        if not isinstance(store, StoreRecord):
            raise ArchiveError("there is no log here: no server has begun one")
        sizes = self._artifacts.sizes()
        parts = {rows_name(kind): dump.part for kind, dump in dumps.items()}
        for name in sorted(set().union(*(dump.artifacts for dump in dumps.values()))):
            if name not in sizes:
                raise LogCorruptError(f"artifact {name}{SUFFIX}", name, "no such file")
            parts[artifact_name(name)] = Part(size=sizes[name], sha256=name)
        return Manifest(
            format=FORMAT,
            model=store.model,
            fingerprint=store.fingerprint,
            chat_template=store.chat_template,
            created_at=now(),
            counts={table_name(kind): dump.count for kind, dump in dumps.items()},
            members=parts,
        )

    def _write(
        self, file: IO[bytes], manifest: Manifest, dumps: "dict[type[Record], Dump]"
    ) -> None:
        moment = manifest.created_at.timestamp()
        with writing(file) as tar:
            text = manifest.model_dump_json(indent=1).encode()
            add(tar, MANIFEST, len(text), moment, io.BytesIO(text))
            for kind, dump in dumps.items():
                dump.file.seek(0)
                add(tar, rows_name(kind), dump.part.size, moment, dump.file)
            for done, name in enumerate(manifest.artifacts, 1):
                content = self._artifacts.get(name)
                add(tar, artifact_name(name), len(content), moment, io.BytesIO(content))
                self._advance("artifacts", done, len(manifest.artifacts))


class Dump:
    """A table's rows as JSON lines, in a file that goes with its last user."""

    def __init__(self, kind: type[Record], file: IO[bytes]) -> None:
        self.file = file
        self.count = 0
        self.last: Record | None = None
        self.artifacts: set[str] = set()
        self._kind = kind
        self._size = 0
        self._hasher = hashlib.sha256()

    def fill(self, rows: Contents) -> None:
        for record in rows.of(self._kind, _refuse):
            line = record.model_dump_json().encode() + b"\n"
            self.file.write(line)
            self._hasher.update(line)
            self._size += len(line)
            self.count += 1
            self.last = record
            named = getattr(record, "artifact", None)
            if named is not None:
                self.artifacts.add(named)

    @property
    def part(self) -> Part:
        return Part(size=self._size, sha256=self._hasher.hexdigest())


def _refuse(fault: str) -> None:
    raise ArchiveError(f"the log is damaged: {fault}; `errata log verify` has the rest, if any")
