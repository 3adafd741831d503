"""Ten times as many clients as the server takes, for a minute: what they are answered, what memory
that costs, and how soon the server answers who asks whether it lives.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil
from rich.progress import Progress

from service.settings import Settings
from tests.bench.crowd import crowd
from tests.bench.figure import Figure
from tests.processes import EURO, Child, serving

SECONDS = 60.0
WARM_S = 5.0
TIMES = 10  # the capacity
POSTERS = 32  # clients who hand in edits, faster than they are applied
EDITS = 20  # of one request
QUEUE = 2_000  # edits that may wait
WELL = {200, 202, 429, 503}
MB = 1_000_000
MOST_MB = 200
MOST_MS = 100.0
READY_WITHIN_S = 30.0


@dataclass
class Overload:
    statuses: Counter[int] = field(default_factory=Counter)
    grown_mb: float = 0.0
    health_ms: list[float] = field(default_factory=list)
    starved: float = 0.0  # share of the time in which the event loop's thread waited for a core
    ready_s: float = 0.0  # until it was ready and generated again

    @property
    def others(self) -> int:
        """Answers that nobody should get, and broken connections."""
        return sum(n for status, n in self.statuses.items() if status not in WELL)


def run(progress: Progress) -> list[Figure]:
    task = progress.add_task("overload", total=None)
    with (
        tempfile.TemporaryDirectory() as name,
        serving(
            Path(name) / "data", ERRATA_ADMIN_KEY="bench", ERRATA_MAX_QUEUE_DEPTH=str(QUEUE)
        ) as child,
    ):
        found = overloaded(child, Settings().max_generations, SECONDS)
    progress.remove_task(task)
    return list(_figures(found))


def _figures(found: Overload) -> Iterator[Figure]:
    def figure(what: str, measured: float, unit: str, **bound: float) -> Figure:
        return Figure("overload", what, measured, unit, **bound)

    for status, number in sorted(found.statuses.items()):
        yield figure(f"answers {status or 'broken'}", number / SECONDS, "/s")
    yield figure("other answers than 200, 202, 429, 503", found.others, "of all", most=0)
    yield figure("memory, growth", found.grown_mb, "MB", most=MOST_MB)
    yield figure("/health/live, p50", median(found.health_ms), "ms")
    p99 = quantiles(found.health_ms, n=100, method="inclusive")[-1]
    yield figure("/health/live, p99", p99, "ms", most=MOST_MS)
    yield figure("/health/live, unanswered", sum(ms < 0 for ms in found.health_ms), "", most=0)
    yield figure("the event loop's thread waited for a core", found.starved, "")
    yield figure("ready again, and generating", found.ready_s, "s", most=READY_WITHIN_S)


def overloaded(child: Child, capacity: int, seconds: float) -> Overload:
    """Against a server that has been at its capacity."""
    found = Overload()
    crowd(child.http, _bodies(capacity), min(seconds, WARM_S))
    with _watched(child, found, seconds):
        found.statuses = crowd(child.http, _bodies(TIMES * capacity), seconds)
    begun = time.monotonic()
    while child.http.get("/health/ready").status_code != httpx.codes.OK:
        time.sleep(0.1)
    child.answer(EURO["prompt"])
    found.ready_s = time.monotonic() - begun
    return found


def _bodies(clients: int) -> dict[str, Iterator[Any]]:
    """Of so many who generate, and of those who hand in edits."""
    asking = {f"/generate {n}": cycle([_question(n)]) for n in range(clients)}
    return {**asking, **{f"/edits {n}": _edits(n) for n in range(POSTERS)}}


def _question(number: int) -> dict[str, Any]:
    return {"prompt": f"{number}. {EURO['prompt']}", "max_new_tokens": 32, "temperature": 1.0}


def _edits(poster: int) -> Iterator[Any]:
    for number in count():
        prompts = (f"The {poster}th currency of {number}.{n} is the" for n in range(EDITS))
        yield {"edits": [{"prompt": prompt, "target_new": "euro"} for prompt in prompts]}


@contextmanager
def _watched(child: Child, found: Overload, seconds: float) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.pulse", child.url, str(seconds)]
    probe = subprocess.Popen(command, stdout=subprocess.PIPE)
    over = threading.Event()
    before, waited = _resident(child), _waited_s(child)

    def watch() -> None:
        while not over.wait(0.1):
            found.grown_mb = max(found.grown_mb, (_resident(child) - before) / MB)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
        found.health_ms = json.loads(probe.communicate()[0])
        found.starved = (_waited_s(child) - waited) / seconds
    finally:
        probe.kill()
        over.set()
        watching.join()


def _resident(child: Child) -> int:
    return int(psutil.Process(child.process.pid).memory_info().rss)


def _waited_s(child: Child) -> float:
    """Seconds in which other processes had the cores that the main thread wanted, where the system
    tells them.
    """
    file = Path(f"/proc/{child.process.pid}/schedstat")
    return int(file.read_text().split()[1]) / 1e9 if file.exists() else 0.0
