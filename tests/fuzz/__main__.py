"""`make fuzz`: at least `FUZZ` (10,000) requests made from the OpenAPI document."""

import os
import sys
from collections import Counter

from rich.console import Console
from rich.table import Table

from tests.fuzz import campaign

CLASSES = (2, 4, 5)


def main() -> None:
    wanted = int(os.environ.get("FUZZ", "10000"))
    outcome = campaign.run(wanted, shown=True)
    table = Table("route", *(f"{first}xx" for first in CLASSES))
    routes: dict[str, Counter[int]] = {}
    for (route, status), number in outcome.answers.items():
        routes.setdefault(route.partition(" ")[2], Counter())[status // 100] += number
    for route, counts in sorted(routes.items()):
        table.add_row(route, *(str(counts[first]) for first in CLASSES))
    console = Console()
    console.print(table)
    for fault in outcome.faults:
        console.print(fault, markup=False)
    failed = sum(counts[5] for counts in routes.values())
    breaks = outcome.report.get("test_cases", {}).get("unique_failures", "?")
    console.print(f"{outcome.cases} cases, {failed} server errors, {breaks} breaks of the contract")
    whole = outcome.code == 0 and not outcome.faults and outcome.cases >= wanted and not failed
    sys.exit(0 if whole else 1)


main()
