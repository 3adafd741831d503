"""The memory that editing adds on a model of GPT-2 large's shape; a process for each editor."""

import json
import subprocess
import sys

from rich.progress import Progress

from tests.bench.figure import Figure

EDITORS = ("grace", "coachhook", "memit")
GIB = 1 << 30
MORE = 2.0  # GiB that editing may add beyond the model's own size


def run(progress: Progress) -> list[Figure]:
    figures = []
    task = progress.add_task("memory", total=len(EDITORS))
    for name in EDITORS:
        progress.update(task, description=f"memory, {name}")
        child = subprocess.run(
            [sys.executable, "-m", "tests.bench.footprint", name],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = json.loads(child.stdout)
        model = found["model"] / GIB
        what = f"{name}, added to a model of {model:.1f} GiB"
        figures.append(Figure("memory", what, found["added"] / GIB, "GiB", most=model + MORE))
        progress.advance(task)
    progress.remove_task(task)
    return figures
