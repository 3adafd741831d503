"""Edit sets in the forms in which the field keeps them, read into one.

Atlas's own (JSON lines, compressed or not), CounterFact in its original nested form and in
EasyEdit's flat one, and zsRE as prepared by MEND.
"""

import gzip
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import ErrataError


class DatasetError(ErrataError):
    """A file that holds no edit set; says where and why."""


@dataclass(frozen=True)
class Neighbor:
    """A prompt whose answer must not change."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Record:
    prompt: str
    subject: str
    target_new: str
    target_true: str
    paraphrases: tuple[str, ...]
    neighborhood: tuple[Neighbor, ...]


def read_records(file: Path, limit: int | None = None) -> list[Record]:
    """The first `limit` records; zsRE has some without a new target, which are left out. Raises
    `DatasetError` if the file or a record is none.
    """
    try:
        content = file.read_bytes()
        text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
        lines = ".jsonl" in file.suffixes
        found = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{file} can't be read: {error}") from error
    if not isinstance(found, list) or not found:
        raise DatasetError(f"{file} holds no list of records")
    records = (_record(file, number, one) for number, one in enumerate(found))
    return list(itertools.islice((r for r in records if r.target_new), limit))


def _record(file: Path, number: int, found: Any) -> Record:
    if not isinstance(found, dict):
        raise DatasetError(f"{file}, record {number}: is no object")
    form = next((form for mark, form in FORMS.items() if mark in found), None)
    if form is None:
        known = ", ".join(FORMS)
        raise DatasetError(f"{file}, record {number}: has none of the fields {known}")
    try:
        return form(found)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DatasetError(f"{file}, record {number}: lacks {error}") from error


def _atlas(found: Any) -> Record:
    return Record(
        found["prompt"],
        found["subject"],
        found["target_new"],
        found["target_true"],
        tuple(found["paraphrases"]),
        tuple(Neighbor(n["prompt"], n["answer"]) for n in found["neighborhood"]),
    )


def _nested(found: Any) -> Record:
    """In CounterFact all neighbours share the edited fact's true answer."""
    rewrite = found["requested_rewrite"]
    true = rewrite["target_true"]["str"]
    return Record(
        rewrite["prompt"].replace("{}", rewrite["subject"]),
        rewrite["subject"],
        rewrite["target_new"]["str"],
        true,
        tuple(found["paraphrase_prompts"]),
        tuple(Neighbor(prompt, true) for prompt in found["neighborhood_prompts"]),
    )


def _flat(found: Any) -> Record:
    return Record(
        found["prompt"],
        found["subject"],
        found["target_new"],
        found["ground_truth"],
        (found["rephrase_prompt"],),
        (Neighbor(found["locality_prompt"], found["locality_ground_truth"]),),
    )


def _zsre(found: Any) -> Record:
    return Record(
        found["src"],
        found["subject"],
        found["alt"],
        found["answers"][0],
        (found["rephrase"],),
        (Neighbor(found["loc"], found["loc_ans"]),),
    )


# By a field that no other form has.
FORMS: dict[str, Callable[[Any], Record]] = {
    "requested_rewrite": _nested,
    "rephrase_prompt": _flat,
    "src": _zsre,
    "neighborhood": _atlas,
}
