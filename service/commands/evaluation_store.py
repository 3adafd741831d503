"""The folder beside an evaluation's figures that holds its server's log, so that an evaluation that
was broken off can be gone on with.
"""

import json
import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from service.commands.output import Exit, fail
from service.storage.database import PRIVATE

MARK = "evaluation.json"  # says what is evaluated in it, and so that the command made it
LOCK = "lock"  # a server's that works in it


def prepare(store: Path, about: dict[str, str], *, resume: bool, fresh: bool) -> None:
    """Makes `store` for the evaluation that `about` describes. One that is there is gone on with or
    begun anew, as asked; else the command ends and says how.
    """
    if store.exists() and fresh:
        _remove(store)
    if not store.exists():
        store.mkdir(mode=PRIVATE)
        (store / MARK).write_text(json.dumps(about) + "\n")
    elif not resume:
        fail(
            f"{store} is there from an earlier evaluation: --resume goes on with it, --fresh "
            "removes it and begins anew",
            Exit.REFUSED,
        )
    # A store of a version that wrote no mark is taken at its owner's word.
    elif (store / MARK).exists() and (was := _mark(store)) != about:
        other = [f"{name} {was.get(name)!r}" for name in about if was.get(name) != about[name]]
        fail(
            f"{store} is of an evaluation with {', '.join(other)}: --fresh removes it and begins "
            "anew",
            Exit.REFUSED,
        )


def _remove(store: Path) -> None:
    """All of it, the mark last: what is left when this is broken off can be told."""
    if store.is_symlink() or not (store / MARK).is_file():
        fail(f"{store} was not made by `errata evaluate`, and is not removed", Exit.REFUSED)
    try:
        with FileLock(store / LOCK, timeout=0):
            for one in store.iterdir():
                if one.is_dir() and not one.is_symlink():
                    shutil.rmtree(one)
                elif one.name not in (MARK, LOCK):
                    one.unlink()
        shutil.rmtree(store)
    except Timeout:
        fail(f"an evaluation is at work in {store}", Exit.REFUSED)
    except OSError as error:
        fail(f"{store} can't be removed: {error}", Exit.REFUSED)


def _mark(store: Path) -> dict[str, str]:
    try:
        found = json.loads((store / MARK).read_text())
    except (OSError, ValueError) as error:
        fail(f"{store / MARK} can't be read: {error}", Exit.REFUSED)
    return found if isinstance(found, dict) else {}
