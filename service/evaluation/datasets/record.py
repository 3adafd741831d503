"""What every form is read into."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.errors import ErrataError


class DatasetError(ErrataError):
    """A file that holds no edit set; says where and why."""


@dataclass(frozen=True)
class Place:
    """Where a file holds a record."""

    file: Path
    number: int  # of the record, from 1
    line: int  # in which it begins, from 1

    def __str__(self) -> str:
        return f"{self.file}, record {self.number} (line {self.line})"


@dataclass(frozen=True)
class Neighbor:
    """A prompt whose answer must not change."""

    prompt: str
    answers: tuple[str, ...] = ()  # each of them is right; none where the set does not say


@dataclass(frozen=True)
class Record:
    """One edit, with the prompts that measure it."""

    prompt: str
    target_new: str
    subject: str | None = None
    target_true: tuple[str, ...] = ()  # each of them is right; none where the set does not say
    paraphrases: tuple[str, ...] = ()
    neighborhood: tuple[Neighbor, ...] = ()
    # What the form holds beside these: questions about consequences, ids.
    beyond: dict[str, Any] = field(default_factory=dict)
    # Fields of POST /edits that no form but its own has.
    options: dict[str, Any] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)

    @property
    def span(self) -> str | None:
        """The subject, where it is a span of the prompt: some sets name it otherwise."""
        return self.subject if self.subject is not None and self.subject in self.prompt else None


@dataclass(frozen=True)
class Fault:
    """Why a record can't be taken."""

    place: Place
    record_id: str | None  # as the record names itself
    reason: str  # with the field's name before it

    def __str__(self) -> str:
        name = "" if self.record_id is None else f", {self.record_id}"
        return f"{self.place}{name}: {self.reason}"
