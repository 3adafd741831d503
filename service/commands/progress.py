"""How far long work is, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.commands.output import err
from service.domain.progress import Advance


@contextmanager
def progress_bar(first: str) -> Iterator[Advance]:
    """A bar with an estimate of the time left, on a terminal; `first` is what is done until it is
    told.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown = Progress(
        *columns,
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,  # into a file it would write an empty line
    )
    with shown as progress:
        task = progress.add_task(first, total=None)

        def advance(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield advance
