"""Prompts beside an edit's own that it must not reach: the prompt about another record's subject,
and another record's prompt about its subject.

The other subjects are those of records that are not edited, where there are some: a subject that
has an edit of its own is measured by other records' prompts.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from service.domain.subjects import places_of
from service.evaluation.datasets import Record


@dataclass(frozen=True)
class Placed:
    """A record's prompt, taken apart where it names its subject."""

    record: Record
    subject: str
    around: tuple[str, ...]  # what stands before, between and behind the subject's places

    @classmethod
    def of(cls, record: Record) -> "Placed | None":
        """None where the prompt does not name the record's subject."""
        prompt = record.prompt
        places = () if record.subject is None else places_of(record.subject, prompt).taken
        if not places:
            return None
        edges = [0, *itertools.chain(*places), len(prompt)]
        around = tuple(prompt[i:j] for i, j in zip(edges[::2], edges[1::2], strict=True))
        return cls(record, prompt[slice(*places[0])], around)

    def about(self, subject: str) -> str:
        return subject.join(self.around)


def about_other_subjects(records: Sequence[Record], beside: Sequence[Record] = ()) -> list[str]:
    """Each record's prompt, with the subject of one that is not edited, if there are some `beside`,
    and of another edited one if not.
    """
    return list(_mixed(records, beside, lambda own, other: own.about(other.subject)))


def in_other_templates(records: Sequence[Record]) -> list[str]:
    """Each record's subject, in the prompt of another one."""
    return list(_mixed(records, (), lambda own, other: other.about(own.subject)))


def _mixed(
    records: Sequence[Record], beside: Sequence[Record], mix: Callable[[Placed, Placed], str]
) -> Iterator[str]:
    """Takes the first record behind each one (behind the last one comes the first one; of those
    `beside`, if there are some, the one with its number is the first) that has
    another target and another true answer, and with which the mixture is no phrasing of any edit:
    that rules out the same subject or template, and what another record edits. Nothing for a record
    where there is none.
    """
    placed = [one for one in map(Placed.of, records) if one is not None]
    edited = {text for r in records for text in (r.prompt, *r.paraphrases)}
    subjects = {one.subject for one in placed}
    others = [one for one in map(Placed.of, beside) if one and one.subject not in subjects]
    for number, own in enumerate(placed):
        first = number % len(others) if others else 0
        behind = others[first:] + others[:first] or placed[number + 1 :] + placed[:number]
        mixtures = (mix(own, other) for other in behind if _are_apart(own.record, other.record))
        yield from itertools.islice((text for text in mixtures if text not in edited), 1)


def _are_apart(one: Record, other: Record) -> bool:
    """Whether neither's answers are the other's: an edit that reaches too far is seen."""
    new = one.target_new != other.target_new
    return new and set(one.target_true).isdisjoint(other.target_true)
