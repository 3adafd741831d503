"""Texts streamed over HTTP while batches of edits are applied."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from tests.bench.load import Traffic
from tests.bench.wire import over_http, streamed
from tests.processes import Child

BATCH = 32
BATCHES = 2  # of one measurement
PAGE = 1_000
SETTLED = {"applied", "failed", "superseded"}
POLL_S = 0.05
QUIET_S = 3.0  # of load without edits


@dataclass(frozen=True)
class Meanwhile:
    """The same load without edits and with them, and edits with it and without."""

    quiet: Traffic
    edited: Traffic
    idle_pace: float  # edits per second on a server that does nothing else
    loaded_pace: float


class Edits:
    """Posts ever new edits, by one editor, to one server."""

    def __init__(self, server: Child, editor: str, records: Iterator[dict[str, Any]]) -> None:
        self._server = server
        self._editor = editor
        self._records = records

    def apply(self, batches: int = BATCHES) -> float:
        """Edits per second, from the question until the last one is settled."""
        started = time.perf_counter()
        ids = [i for _ in range(batches) for i in self._post()]
        while not self._settled(ids[0], len(ids)):
            time.sleep(POLL_S)
        return len(ids) / (time.perf_counter() - started)

    def _post(self) -> list[int]:
        chosen = [next(self._records) for _ in range(BATCH)]
        edits = [
            {"editor": self._editor, **{k: r[k] for k in ("prompt", "subject", "target_new")}}
            for r in chosen
        ]
        return [edit["id"] for edit in self._server.post("/edits", {"edits": edits})["edits"]]

    def _settled(self, first: int, count: int) -> bool:
        found = self._server.get("/edits", after=first - 1, limit=PAGE)["edits"]
        return sum(edit["status"] in SETTLED for edit in found) == count


def meanwhile(
    server: Child, edits: Edits, body: dict[str, Any], prompts: Iterator[str], at_once: int
) -> Meanwhile:
    """`body`: of every request, beside its prompt."""

    def until(done: Future[Any]) -> Traffic:
        left = takewhile(lambda _: not done.done(), prompts)
        return over_http(server.http, streamed, body, left, at_once)

    with ThreadPoolExecutor(1) as aside:
        quiet = until(aside.submit(time.sleep, QUIET_S))
        idle = edits.apply()
        applying = aside.submit(edits.apply)
        edited = until(applying)
    return Meanwhile(quiet, edited, idle, applying.result())
