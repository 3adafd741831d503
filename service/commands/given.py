"""Edits on their way to a server."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

EDITS_PER_REQUEST = 200
BYTES_PER_REQUEST = 1 << 19  # half of what a server takes by default


@dataclass(frozen=True)
class Given:
    """An edit as it is handed in."""

    body: dict[str, Any]
    place: str = ""  # in a file


def requests_of(edits: Sequence[Given], most: int = EDITS_PER_REQUEST) -> Iterator[list[Given]]:
    """Yields the edits of each request: as many as one takes, and `most` at most."""
    some: list[Given] = []
    size = 0
    for one in edits:
        more = len(json.dumps(one.body))
        if some and (len(some) == most or size + more > BYTES_PER_REQUEST):
            yield some
            some, size = [], 0
        some.append(one)
        size += more
    yield some
