"""An exported log: a tar of its manifest, its rows as JSON lines and its artifacts. Nothing in it
is believed before it was looked at.
"""

import hashlib
from collections.abc import Iterator
from typing import IO

from pydantic import ValidationError

from service.errors import ArchiveError
from service.storage.contents import OnFault, R
from service.storage.manifest import LONGEST, MANIFEST, Manifest, artifact_name, rows_name
from service.storage.records import Record, fault_of, table_name
from service.storage.tar import Member, members

LONGEST_LINE = 64 << 20  # bytes of one row


class Archive:
    """Rows and artifacts of a file, which stays open. Raises `ArchiveError` for one that is no
    exported log, at once or when the part at fault is read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        found = members(file)
        first = next(found, None)
        if first is None or first.name != MANIFEST:
            raise ArchiveError(f"the archive does not begin with {MANIFEST}")
        self.manifest = self._read_manifest(first)
        self._members: dict[str, Member] = {}
        for member in found:
            part = self.manifest.members.get(member.name)
            if part is None or member.name in self._members:
                raise ArchiveError(
                    f"the archive's member {member.name!r} is unknown or twice there"
                )
            if part.size != member.size:
                raise ArchiveError(
                    f"the archive's member {member.name} has {member.size} bytes, and "
                    f"{part.size} in the manifest"
                )
            self._members[member.name] = member
        if lacking := sorted(self.manifest.members.keys() - self._members.keys()):
            raise ArchiveError(f"the archive's member {lacking[0]} is missing")

    def count(self, kind: type[Record]) -> int:
        return self.manifest.counts[table_name(kind)]

    def of(self, kind: type[R], on_fault: OnFault) -> Iterator[R]:
        name = rows_name(kind)
        count, last = 0, -1
        for number, line in enumerate(self._lines(name), 1):
            try:
                record = kind.model_validate_json(line, strict=True)
            except ValidationError as error:
                on_fault(f"{name}, line {number}: {fault_of(error)}")
                continue
            if record.key <= last:
                raise ArchiveError(f"{name}, line {number}: rows are not in order")
            count, last = count + 1, record.key
            yield record
        if count != self.count(kind):
            on_fault(f"{name} has {count} sound rows, and {self.count(kind)} in the manifest")

    def artifact(self, name: str) -> bytes:
        member = self._members[artifact_name(name)]
        self._file.seek(member.offset)
        content = self._file.read(member.size)
        self._check(member.name, hashlib.sha256(content).hexdigest())
        return content

    def _read_manifest(self, member: Member) -> Manifest:
        if member.size > LONGEST:
            raise ArchiveError(f"{MANIFEST} is longer than {LONGEST} bytes")
        self._file.seek(member.offset)
        try:
            return Manifest.model_validate_json(self._file.read(member.size), strict=True)
        except ValidationError as error:
            raise ArchiveError(f"{MANIFEST}: {fault_of(error)}") from None

    def _lines(self, name: str) -> Iterator[bytes]:
        """The member's lines; its hash is right if no error is raised at the end."""
        member = self._members[name]
        hasher = hashlib.sha256()
        at, end = member.offset, member.offset + member.size
        while at < end:
            self._file.seek(at)  # others may have read meanwhile
            line = self._file.readline(min(end - at, LONGEST_LINE + 1))
            if len(line) > LONGEST_LINE or not line:
                raise ArchiveError(f"{name} has a line of more than {LONGEST_LINE} bytes")
            at += len(line)
            hasher.update(line)
            yield line
        self._check(name, hasher.hexdigest())

    def _check(self, name: str, found: str) -> None:
        wanted = self.manifest.members[name].sha256
        if found != wanted:
            raise ArchiveError(
                f"the archive's member {name} is damaged: expected sha256 {wanted}, found {found}"
            )


class Archived:
    """The artifacts of an archive, by their names."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def get(self, name: str) -> bytes:
        """Raises `ArchiveError` for one that is damaged. The manifest has it."""
        return self._archive.artifact(name)

    def sizes(self) -> dict[str, int]:
        """Bytes of each."""
        manifest = self._archive.manifest
        return {name: manifest.members[artifact_name(name)].size for name in manifest.artifacts}
