"""Spans of time, as an option takes them: `90d`."""

import re
from datetime import timedelta

import typer

SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)


def duration(option: str, given: str, least: timedelta = timedelta(0)) -> timedelta:
    """Raises `typer.BadParameter` for what is no span, or one that is too short or too long."""
    found = SPAN.fullmatch(given)
    if found is None:
        raise typer.BadParameter(f"{option}: give a number and s, m, h, d or w, as in 90d")
    span = timedelta(**{UNITS[found[2]]: int(found[1])})
    if not least <= span <= LONGEST:
        raise typer.BadParameter(f"{option}: give {least.seconds} seconds to {LONGEST.days} days")
    return span
