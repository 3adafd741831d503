"""One correction, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.domain.spellings import plainest
from service.domain.states import EditState


class Format(StrEnum):
    """How a prompt reaches the model."""

    PLAIN = "plain"  # as it is
    CHAT = "chat"  # as a user's message, in the model's chat template


class EditFormat(StrEnum):
    """How the prompts of a correction reach the model."""

    PLAIN = "plain"
    CHAT = "chat"
    BOTH = "both"  # either way: the correction holds in both

    @property
    def forms(self) -> tuple[Format, ...]:
        return tuple(Format) if self is EditFormat.BOTH else (Format(self.value),)


# Where a correction acts: the prompt, and how it reaches the model.
Place = tuple[str, str]


def place_of(prompt: str, prompt_format: str) -> Place:
    """Where a correction of `prompt` acts. Two of one place with different targets contradict each
    other, whatever they name as the subject: after one prompt the model says one thing. In plain
    text and in a chat the model sees two prompts. Spellings of one prompt are one place.
    """
    return plainest(prompt), prompt_format


def places_of(prompts: Sequence[str], edit_format: str) -> frozenset[Place]:
    """Where a correction with these prompts acts."""
    forms = EditFormat(edit_format).forms
    return frozenset(place_of(prompt, form) for prompt in prompts for form in forms)


@dataclass(frozen=True)
class Correction:
    """What a client asks for: after `prompt`, the model should say `target_new`."""

    prompt: str
    target_new: str
    editor: str
    subject: str | None = None  # a span of the prompt
    target_true: str | None = None  # what the model said, or should have said, before
    paraphrases: tuple[str, ...] = ()  # other ways to ask, corrected along with the prompt
    neighborhood: tuple[str, ...] = ()  # prompts whose answers must not change
    metadata: dict[str, Any] = field(default_factory=dict)  # the client's own, only kept
    priority: int = 0  # higher is claimed first
    format: EditFormat = EditFormat.PLAIN
    # In place of the server's, by name, as the editor takes them.
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # what the client may not have meant
    # Between prompt and target: a space or nothing; None leaves it to the rules of writing.
    joint: str | None = None
    continues: bool = False  # a chat's answer may go on after the target
    strict: bool = False  # fails where it misses a phrasing or a neighbour's answer changes

    @property
    def own_places(self) -> frozenset[Place]:
        """Where it acts at its prompt."""
        return places_of([self.prompt], self.format)

    @property
    def places(self) -> frozenset[Place]:
        """Where it acts: at its prompt, and at each paraphrase."""
        return places_of([self.prompt, *self.paraphrases], self.format)


@dataclass(frozen=True)
class Edit:
    """A correction in the queue or the log."""

    id: int
    correction: Correction
    status: EditState
    created_at: datetime
    updated_at: datetime
    submitted_by: str
    attempts: int
    batch_id: int | None = None
    version: int | None = None  # the version that first held it
    supersedes: int | None = None  # the edit whose target for the same place it replaced
    error: str | None = None
    note: str | None = None  # `already true`, and the like
    # Of target_new after prompt, before the batch; of a correction in both forms in plain text.
    probability_before: float | None = None
    probability_after: float | None = None
    # Greedy generation says target_new, its last word not lengthened, on prompt and paraphrases.
    verified: bool | None = None
    joint: str | None = None  # what went between prompt and target


ALREADY_TRUE = "already true"
# Editors that go by the prompt alone, or find its subject; all others need to be told of it.
WITHOUT_SUBJECT = ("entity", "grace")
