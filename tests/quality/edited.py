"""Edits handed to a server in one request, and what became of them."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.conftest import Server

WAIT_S = 60  # of one long poll: real models take minutes


def edited(
    server: Server, edits: Sequence[dict[str, Any]], ended: Callable[[], object]
) -> list[dict[str, Any]]:
    """The edits once each has ended, in order; tells of each that has."""
    queued = server.http.post("/edits", json={"edits": list(edits)}).json()["edits"]
    found = []
    for one in queued:
        while True:
            edit = server.http.get(f"/edits/{one['id']}", params={"wait": WAIT_S}).json()
            if edit["status"] not in ("queued", "applying"):
                break
        found.append(edit)
        ended()
    return found


def said(server: Server, prompt: str, **more: Any) -> str:
    """The greedy answer."""
    body = {"prompt": prompt, "max_new_tokens": 16, **more}
    return str(server.http.post("/generate", json=body).json()["text"])
