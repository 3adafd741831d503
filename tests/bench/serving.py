"""Generation: transformers' own continuous batching against ours, under overlays of many edits, in
process and over HTTP, and while edits are applied.
"""

import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from rich.progress import Progress

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from tests.bench.figure import Figure
from tests.bench.load import Traffic
from tests.bench.meanwhile import Edits, meanwhile
from tests.bench.shapes import Shape, atlas, gpt2_small
from tests.bench.ways import BARE, HOOKS, NOTHING, STREAMED, WHOLE, Rounds, measured, served

AT_ONCE = (1, 8, 32, 128)
USUAL = 32  # at which HTTP has its goals, and edits are applied

# Least shares of tokens per second: of transformers' own without edits, else of no edits.
Goals = dict[str, float]
ATLAS: Goals = {
    NOTHING: 0.95,
    "1,000 entries": 0.90,
    "10,000 entries": 0.70,
    HOOKS: 0.75,
    # Of the same in process.
    WHOLE: 0.70,
    STREAMED: 0.50,
}
GPT2_SMALL: Goals = {
    NOTHING: 0.95,
    "10,000 entries": 0.90,
    HOOKS: 0.90,
    WHOLE: 0.85,
    STREAMED: 0.85,
}
# While edits are applied:
SLOWER = 3.0  # times, from token to token
EDITS_KEPT = 0.5  # share of an idle server's edits per second


def run(progress: Progress) -> list[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundled = atlas(folder)
        for shape, goals in ((bundled, ATLAS), (gpt2_small(folder), GPT2_SMALL)):
            task = progress.add_task(f"serving {shape.name}", total=None)
            for at_once, rounds in measured(shape, folder, AT_ONCE):
                figures += _figures(f"{shape.name}, {at_once} at once", goals, rounds, at_once)
            progress.remove_task(task)
        task = progress.add_task("serving atlas while edits are applied", total=None)
        figures += _meanwhile(bundled, folder)
        progress.remove_task(task)
    return figures


def _figures(where: str, goals: Goals, rounds: Rounds, at_once: int) -> Iterator[Figure]:
    for (what, how), traffic in rounds.items():
        name = f"{where}, {what}{how}"
        against = (what, "") if how else (BARE, "") if what == NOTHING else (NOTHING, "")
        baseline = None if what == BARE else rounds[against].pace
        wanted = goals.get(how or what) if not how or at_once == USUAL else None
        yield Figure("serving", name, traffic.pace, "tok/s", baseline, wanted)
        if how != WHOLE:
            yield from _latencies(name, traffic)


def _latencies(name: str, traffic: Traffic) -> Iterator[Figure]:
    for what, latency in (("first token", traffic.first), ("between tokens", traffic.between)):
        yield Figure("serving", f"{name}, {what}, p50", latency.p50, "ms")
        yield Figure("serving", f"{name}, {what}, p95", latency.p95, "ms")


def _meanwhile(shape: Shape, folder: Path) -> Iterator[Figure]:
    """Codebooks grow on one server, hook layers on another."""
    records = iter(read_edits(EDITS_FILE))
    for editor, last in (("grace", "10,000 entries"), ("coachhook", HOOKS)):
        versions = [NOTHING, *(("1,000 entries", last) if editor == "grace" else (last,))]
        with served(shape, folder / editor, versions[1:]) as server:
            edits = Edits(server, editor, records)
            edits.apply(batches=1)  # what is made once, is made here
            for version, what in zip(count(), versions, strict=False):
                body = {"max_new_tokens": shape.new_tokens, "version": version}
                found = meanwhile(server, edits, body, shape.prompts(), USUAL)
                name = f"{shape.name}, {USUAL} at once, {what}, while {editor} edits are applied"
                quiet, edited = found.quiet, found.edited
                yield Figure("serving", name, edited.pace, "tok/s", quiet.pace)
                between = edited.between.p95, "ms", quiet.between.p95, None, SLOWER
                yield Figure("serving", f"{name}, between tokens, p95", *between)
                paces = found.loaded_pace, "edits/s", found.idle_pace, EDITS_KEPT
                yield Figure("serving", f"{name}, edits", *paces)
                failed = quiet.failed + edited.failed
                yield Figure("serving", f"{name}, failed", failed, "requests", most=0)
