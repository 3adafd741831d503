"""Files of edits, as the commands that take one read them: what is wrong with a file is told before
any of its edits is paid for.
"""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.output import Exit, err, fail, visible
from service.domain.edits import WITHOUT_SUBJECT
from service.evaluation.datasets import DatasetError, EditSet, Subject, read_edit_set

MOST_SHOWN = 20  # bad records, a line each
FORMS = (
    "The body of POST /edits, atlas's set, CounterFact, EasyEdit, KnowEdit, MEND's zsRE, MQuAKE or "
    "RippleEdits; as JSON or JSON lines, gzipped or not."
)
SkipBadOption = Annotated[
    bool, typer.Option("--skip-bad", help="Leave bad records out, instead of ending there.")
]


def subject_for(editor: str) -> Subject:
    """What an editor asks of a record's subject."""
    return Subject.ANY if editor in WITHOUT_SUBJECT else Subject.NEEDED


def edit_set(
    file: Path, *, skip_bad: bool, subject: Subject, beyond: str, limit: int | None = None
) -> EditSet:
    """The first `limit` edits of `file`; `beyond` says what becomes of what it holds beside them.
    Ends the command if there are none, or bad ones that are not to be skipped.
    """
    try:
        found = read_edit_set(file, limit, subject)
    except DatasetError as error:
        fail(str(error), Exit.REFUSED)
    if found.faults:
        _tell_faults(found, skip_bad)
    if found.without_target:
        count = _count(found.without_target, "edit")
        _note(f"{file}: {count} without a new target left out")
    if not found.records:
        fail(f"{file} holds no edits that can be made", Exit.REFUSED)
    if found.beyond:
        _note(f"{file}: {beyond}: {of_edits(found.beyond)}")
    return found


def of_edits(counts: dict[str, int]) -> str:
    """`portability (12 edits), questions (1 edit)`."""
    return ", ".join(f"{name} ({_count(count, 'edit')})" for name, count in counts.items())


def _tell_faults(found: EditSet, skip_bad: bool) -> None:
    faults = found.faults
    if len(faults) == 1 and not skip_bad:
        fail(f"{faults[0]}; --skip-bad leaves it out", Exit.REFUSED)
    for fault in faults[:MOST_SHOWN]:
        _note(str(fault))
    if len(faults) > MOST_SHOWN:
        _note(f"... and {len(faults) - MOST_SHOWN} more")
    bad = _count(len(faults), "bad record")
    if not skip_bad:
        fail(f"{found.file} holds {bad}; --skip-bad leaves them out", Exit.REFUSED)
    _note(f"{found.file}: {bad} left out")


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _note(line: str) -> None:
    err.print(visible(line).replace("\n", r"\n"), soft_wrap=True)
