"""Tar files of plain members, read without trust: headers of 512 bytes and no extensions."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from service.errors import ArchiveError

BLOCK = 512
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


@dataclass(frozen=True)
class Member:
    name: str
    offset: int  # of its content in the file
    size: int  # bytes


def members(file: IO[bytes]) -> Iterator[Member]:
    """What the headers say, in their order; contents are passed over. Links, folders, longer names
    and whatever else a tar may hold are refused.

    Raises `ArchiveError` for what is no such file, or claims more bytes than it has.
    """
    total = file.seek(0, 2)
    at = 0
    while True:
        file.seek(at)
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise ArchiveError("the archive is cut off")
        if not any(block):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.TarError, ValueError) as error:
            raise ArchiveError(f"no tar file of ours: {error} at byte {at}") from None
        if info.type not in PLAIN:
            raise ArchiveError(f"the archive's member {info.name!r} is no plain file")
        at += BLOCK
        if not 0 <= info.size <= total - at:
            raise ArchiveError(f"the archive's member {info.name!r} is cut off")
        yield Member(info.name, at, info.size)
        at += -(-info.size // BLOCK) * BLOCK


def add(tar: tarfile.TarFile, name: str, size: int, moment: float, content: IO[bytes]) -> None:
    """Writes one member; `moment` in seconds since 1970."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, int(moment)
    tar.addfile(info, content)


def writing(file: IO[bytes]) -> tarfile.TarFile:
    # Names are short: GNU's form says nothing beyond plain headers here, and takes any size.
    return tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)
