"""A stock of questions in many wordings, about many subjects: relation spaces are fitted to it."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

FILE = Path(__file__).with_name("questions.json")


@dataclass(frozen=True)
class Question:
    """A text of the stock, and what it asks of which subject, by number."""

    text: str
    subject: int
    relation: int


@cache
def digest() -> str:
    """sha256 of the stock's file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@cache
def stock() -> tuple[Question, ...]:
    """All of it. Every other text stands behind a sentence about something else."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    leads = cycle([f"{lead} " for lead in content["leads"]])
    found: list[Question] = []
    subjects = relations = 0
    for kind in content["kinds"].values():
        for number, subject in enumerate(kind["subjects"], subjects):
            for relation, wordings in enumerate(kind["relations"].values(), relations):
                for wording in wordings:
                    lead = next(leads) if len(found) % 2 else ""
                    found.append(Question(lead + wording.format(subject), number, relation))
        subjects += len(kind["subjects"])
        relations += len(kind["relations"])
    return tuple(found)
