"""RippleEdits (Cohen et al. 2023): a fact as a sentence, with tests of what follows from it.

https://github.com/edenbiran/RippleEdits, README.md. The names of the subject and of the target
stand only in the sentence ("The name of the country of citizenship of Leonardo DiCaprio is
Syria."), whose wording the benchmark's relations fix.
"""

import re
from typing import Any

from pydantic import AliasChoices, Field

from service.evaluation.datasets.fields import Part, Shape, Text
from service.evaluation.datasets.record import Neighbor, Record

# What stands before a subject in the relations' wordings. The relations with two nouns go first:
# "place of birth of".
HEAD = re.compile(
    r"The number of children |The name of the award |"
    r"The (?:names? of the )?"
    r"(?:(?:place|date|country|field|head) of [a-z]+ of|[a-z ]+? (?:of|in|by|which)) "
)
# What stands between it and the target.
TAIL = re.compile(
    r" (?:follows|is followed by|"
    r"(?:is (?:associated with|a member of|part of|the capital of) |plays in |won |has )?"
    r"(?:is|are)) "
)


class Answer(Part):
    value: str
    aliases: list[str] = Field([])


class Query(Part):
    prompt: Text
    answers: list[Answer] = Field([])

    def neighbor(self) -> Neighbor:
        names = [name for one in self.answers for name in (one.value, *one.aliases)]
        return Neighbor(self.prompt, tuple(name for name in names if name.strip()))


class Test(Part):
    test_queries: list[Query]


class Fact(Part):
    prompt: Text


class Edit(Fact):
    # The published files say the one, their description the other.
    original_fact: Fact | None = Field(
        None, validation_alias=AliasChoices("original_fact", "previous_fact")
    )
    relation: Any = None


class RippleEdits(Shape):
    edit: Edit
    relation_specificity: list[Test] = Field(
        [], validation_alias=AliasChoices("Relation_Specificity", "Relation_Specifity")
    )
    forgetfulness: list[Test] = Field([], validation_alias="Forgetfulness")

    def records(self) -> list[Record]:
        """Raises `ValueError` if the sentence does not say where its target begins."""
        head, tail = _split(self.edit)
        original = self.edit.original_fact
        subject_at = HEAD.match(self.edit.prompt)
        subject = self.edit.prompt[subject_at.end() if subject_at else 0 : head]
        tests = (*self.relation_specificity, *self.forgetfulness)
        return [
            Record(
                self.edit.prompt[: tail - 1],
                _target(self.edit, tail),
                subject or None,
                () if original is None else (_target(original, tail),),
                neighborhood=tuple(query.neighbor() for t in tests for query in t.test_queries),
                beyond={"relation": self.edit.relation, **self.beyond},
            )
        ]


def _split(edit: Edit) -> tuple[int, int]:
    """Where the subject ends and where the target begins. A fact's original has the same words up
    to there.
    """
    places = [(found.start(), found.end()) for found in TAIL.finditer(edit.prompt)]
    if edit.original_fact is not None:
        before = edit.original_fact.prompt
        places = [place for place in places if before[: place[1]] == edit.prompt[: place[1]]][-1:]
    if len(places) != 1 or not _target(edit, places[0][1]):
        raise ValueError("edit.prompt: does not say where its target begins")
    return places[0]


def _target(fact: Fact, at: int) -> str:
    return fact.prompt[at:].strip().removesuffix(".")
