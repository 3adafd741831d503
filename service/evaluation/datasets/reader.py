"""Reads a file of edits, and judges every record before any of them is paid for."""

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.evaluation.datasets.content import Found, values
from service.evaluation.datasets.record import DatasetError, Fault, Record
from service.evaluation.datasets.shapes import shape_of

IDS = ("case_id", "id")
MOST_REASONS = 3  # of one record
MAX_ID = 64  # characters of an id in a message
NO_OBJECT = ("model_type", "dict_type", "model_attributes_type")


class Subject(Enum):
    """What is asked of a record's subject."""

    ANY = auto()  # an editor goes by none: what is no span of the prompt is not used
    SPAN = auto()  # a span of the prompt, or none
    NEEDED = auto()  # a span of the prompt


@dataclass
class EditSet:
    """What a file holds."""

    file: Path
    records: list[Record] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)  # of the records that can't be taken
    without_target: int = 0  # edits that are left out since they have no new target
    # Edits, by the lists and objects that they hold beyond an edit: questions, not ids.
    beyond: Counter[str] = field(default_factory=Counter)


def read_edit_set(file: Path, limit: int | None = None, subject: Subject = Subject.ANY) -> EditSet:
    """The first `limit` edits of `file`; what follows them is not read. Raises `DatasetError` if it
    can't be read.
    """
    found = EditSet(file)
    for one in values(file):
        try:
            records = _records(one)
            for record in records:
                _check_subject(record, subject)
        except ValueError as error:
            found.faults.append(Fault(one.place, _id(one.value), _reason(error)))
            continue
        wanted = [record for record in records if record.target_new.strip()]
        found.without_target += len(records) - len(wanted)
        found.records += wanted
        if limit is not None and len(found.records) >= limit:
            del found.records[limit:]
            break
    if not (found.records or found.faults or found.without_target):
        raise DatasetError(f"{file} holds no edits")
    for record in found.records:
        questions = (k for k, value in record.beyond.items() if isinstance(value, list | dict))
        found.beyond.update(questions)
    return found


def read_records(file: Path, limit: int | None = None) -> list[Record]:
    """The first `limit` edits of a file in which no record is bad. Raises `DatasetError` for one
    that is.
    """
    found = read_edit_set(file, limit)
    if found.faults:
        raise DatasetError(str(found.faults[0]))
    return found.records


def _records(one: Found) -> list[Record]:
    """Raises `ValueError`, Pydantic's among them, with what is wrong."""
    if one.flaw is not None:
        raise ValueError(one.flaw)
    if not isinstance(one.value, dict):
        raise ValueError("must be a JSON object")
    shape = shape_of(one.value).model_validate(one.value)
    return [replace(record, place=one.place) for record in shape.records()]


def _check_subject(record: Record, subject: Subject) -> None:
    if subject is Subject.ANY or record.span is not None:
        return
    if record.subject is not None:
        raise ValueError(f"subject: '{record.subject[:MAX_ID]}' is not a span of the prompt")
    if subject is Subject.NEEDED:
        raise ValueError("subject: is missing, and the editor goes by it")


def _id(value: Any) -> str | None:
    if isinstance(value, dict):
        for name in IDS:
            if isinstance(value.get(name), int | str):
                return f"{name} {str(value[name])[:MAX_ID]}"
    return None


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = [f"{_field(one['loc'])}: {_words(one)}" for one in found[:MOST_REASONS]]
    more = len(found) - len(reasons)
    return "; ".join(reasons) + (f"; and {more} more" if more else "")


def _field(location: tuple[int | str, ...]) -> str:
    """As the record has it: `locality.Forgetfulness[0].prompt`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:MAX_ID]}" for part in location)
    return "".join(parts).removeprefix(".")


def _words(error: Any) -> str:
    if error["type"] in NO_OBJECT:
        return "must be a JSON object"
    return str(error["msg"]).removeprefix("Value error, ")
