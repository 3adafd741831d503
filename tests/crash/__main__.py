"""`make crash`: kills servers at every point, `KILLS` times each on each database; then runs some
tests at their full size.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from tests.crash.points import POINTS
from tests.crash.trials import DATABASES, Kill, kills
from tests.postgresql import Cluster, running

# What is run at its full size.
TESTS = (
    (
        "20 holders of the lease are stopped and overtaken, with 1,000 edits",
        "tests/test_servers.py::test_a_stopped_holder_is_overtaken_and_its_batch_refused",
        {"ERRATA_STOPS": "20", "ERRATA_STOPPED_EDITS": "50"},
    ),
    (
        "200 random histories of either kind",
        "tests/operations/test_histories.py",
        {"ERRATA_HISTORIES": "200"},
    ),
)


def main() -> None:
    console = Console()
    each = int(os.environ.get("KILLS", "40"))
    died: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with running() as cluster, Progress(*columns, console=console) as progress:
        task = progress.add_task("kills", total=each * len(POINTS) * len(DATABASES))
        for kill, outcome in _outcomes(cluster, each):
            where = kill.point, kill.database
            try:
                died[where] += outcome.result()
            except AssertionError as error:
                wrong[where] += 1
                console.print(f"{kill}: {error}", markup=False)
            progress.advance(task)

    table = Table("killed", "database", "died", "wrong")
    for point in POINTS:
        for name in DATABASES:
            table.add_row(point, name, str(died[point, name]), str(wrong[point, name]))
    console.print(table)
    whole = wrong.total() == 0 and died.total() == each * len(POINTS) * len(DATABASES)
    console.print("nothing was lost or doubled" if whole else "NOT as promised")

    for what, test, size in TESTS:
        console.print(f"{what} ...")
        command = [sys.executable, "-m", "pytest", test]
        whole &= subprocess.run(command, env=os.environ | size, check=False).returncode == 0
    sys.exit(0 if whole else 1)


def _outcomes(cluster: Cluster, each: int) -> Iterator[tuple[Kill, "Future[bool]"]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running_now = {pool.submit(kill.run, cluster): kill for kill in kills(each)}
        for outcome in as_completed(running_now):
            yield running_now[outcome], outcome


main()
