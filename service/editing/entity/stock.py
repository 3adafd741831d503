"""A stock of questions in many wordings, about many subjects: relation spaces are fitted to it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

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
    content = _content()
    leads = cycle([f"{lead} " for lead in content["leads"]])
    return tuple(
        replace(question, text=next(leads) + question.text) if number % 2 else question
        for number, question in enumerate(_questions(content, wordings=None))
    )


def bare_stock(wordings: int) -> tuple[Question, ...]:
    """The first `wordings` of each question, about every subject, with nothing before them."""
    return tuple(_questions(_content(), wordings))


def _content() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


def _questions(content: Any, wordings: int | None) -> Iterator[Question]:
    subjects = relations = 0
    for kind in content["kinds"].values():
        for number, subject in enumerate(kind["subjects"], subjects):
            for relation, texts in enumerate(kind["relations"].values(), relations):
                for text in texts[:wordings]:
                    yield Question(text.format(subject), number, relation)
        subjects += len(kind["subjects"])
        relations += len(kind["relations"])
