"""Meddles with the artifacts of a log that was honest, and makes every hash in it right again."""

import hashlib
import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

Header = dict[str, Any]
Change = Callable[[Header, dict[str, Tensor]], None]
NAMED_BY = ("versions", "batches", "snapshots")


def artifact_of(folder: Path, version: int, table: str = "versions") -> str:
    with closing(sqlite3.connect(folder / "errata.db")) as database:
        query = f"SELECT artifact FROM {table} WHERE version = ?"
        (name,) = database.execute(query, [version]).fetchone()
    return str(name)


def replace(folder: Path, old: str, content: bytes) -> str:
    """Puts other content in the place of an artifact; returns the name that it has now."""
    new = hashlib.sha256(content).hexdigest()
    (folder / "artifacts" / f"{old}.safetensors").unlink(missing_ok=True)
    (folder / "artifacts" / f"{new}.safetensors").write_bytes(content)
    with closing(sqlite3.connect(folder / "errata.db")) as database, database:
        for table in NAMED_BY:
            database.execute(f"UPDATE {table} SET artifact = ? WHERE artifact = ?", [new, old])
    return new


def changed(content: bytes, change: Change) -> bytes:
    header, tensors = header_of(content), load(content)
    change(header, tensors)
    return save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"errata": json.dumps(header)},
    )


def header_of(content: bytes) -> Header:
    (length,) = struct.unpack("<Q", content[:8])
    found: Header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["errata"])
    return found


def claiming(content: bytes, **claims: list[int]) -> bytes:
    """The same content, whose safetensors header claims other shapes of some tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    for name, shape in claims.items():
        header[name.replace("_", ".", 1)]["shape"] = shape
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]
