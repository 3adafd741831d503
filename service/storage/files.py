"""Files and folders that are there whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole(target: Path) -> Iterator[IO[bytes]]:
    """Writes beside the place, syncs, renames and syncs the folder: a crash, or an error inside the
    block, leaves what was there before; else all that was written is there.
    """
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync(target.parent)


def write_whole(target: Path, content: bytes) -> None:
    with whole(target) as file:
        file.write(content)


@contextlib.contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """The same for a folder that is new or empty: yields the one to write to, which becomes
    `target`. Its files get the mode that the process gives to new files. Raises `OSError` where
    something came to lie at `target` meanwhile.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}-", suffix=".partial"
    ) as temporary:
        # The temporary folder is its owner's alone; what is made inside is not.
        made = Path(temporary) / target.name
        made.mkdir()
        yield made
        for path in made.rglob("*"):
            if path.is_file():
                # Libraries write some files by way of temporary ones, which only their owner reads.
                path.chmod(made.stat().st_mode & 0o666)
            _sync(path)
        _sync(made)
        made.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
