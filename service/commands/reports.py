"""What edits reach and move, as tables."""

from collections.abc import Sequence
from typing import Any

from service.commands.output import print_table

# What an edit is called in the first column, and its report.
Reported = tuple[object, dict[str, Any]]


def print_reports(reported: Sequence[Reported]) -> None:
    print_table(
        ["edit", "phrasing", "format", "reached", "probability before", "after"],
        [
            (
                name,
                one["field"],
                one["format"],
                _yes(one["reached"]),
                share(one["probability_before"]),
                share(one["probability_after"]),
            )
            for name, report in reported
            for one in report["phrasings"]
        ],
    )
    neighbors = [(name, one) for name, report in reported for one in report["neighbors"]]
    if neighbors:
        print_table(
            ["edit", "neighbour", "format", "kept", "before", "after"],
            [
                (name, one["field"], one["format"], _yes(one["kept"]), one["before"], one["after"])
                for name, one in neighbors
            ],
        )


def share(value: float | None) -> str | None:
    return None if value is None else f"{value:.2%}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
