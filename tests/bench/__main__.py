"""Runs the benchmarks: `make bench`, or `make bench BENCH=grace` for one part.

Prints a table and writes `build/bench.json`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import editors, entity, grace, growth, intake, memory, overload, serving, starting
from tests.bench.figure import Figure
from tests.bench.machine import described

PARTS: dict[str, Callable[[Progress], list[Figure]]] = {
    "grace": grace.run,
    "editors": editors.run,
    "entity": entity.run,
    "growth": growth.run,
    "memory": memory.run,
    "serving": serving.run,
    "intake": intake.run,
    "starting": starting.run,
    "overload": overload.run,
}
OUT = Path("build") / "bench.json"


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "all"
    if wanted not in ("all", *PARTS):
        sys.exit(f"no benchmark '{wanted}'; there are: all, {', '.join(PARTS)}")
    console = Console()
    console.print(described())
    figures: list[Figure] = []
    with Progress(console=console) as progress:
        for name, part in PARTS.items():
            if wanted in ("all", name):
                figures += part(progress)

    table = Table("part", "figure", "measured", "baseline", "ratio", "wanted")
    for figure in figures:
        table.add_row(*figure.cells())
    console.print(table)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    missed = [figure for figure in figures if not figure.reached]
    sys.exit(f"{len(missed)} figures are not what is wanted" if missed else 0)


main()
