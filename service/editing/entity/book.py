"""The overlay of `entity`: which answer is given where a text asks something of a subject.

An entry has two factors. It is asked where the text names its subject, and answers where the
question lies within its radius in the space of relations. Its answer is a chain: a value, which
brings out the first token, and one for each token that follows while the text goes on with it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from torch import Tensor

from service.domain.subject_index import SubjectIndex
from service.editing.blocks import Table
from service.editing.entity.asking import Asking, Junction
from service.editing.entity.relation_space import RelationSpace, distances
from service.errors import ConflictError

Label = tuple[int, ...]  # token ids
# By junction, which of the answers an entry gives; NONE: it does not answer there.
Given = tuple[int, int, int]
NONE = -1


@dataclass(frozen=True)
class Answer:
    """What an edit says, from one junction on."""

    label: Label  # it has a value for each token
    owner: int  # id of the edit


@dataclass(frozen=True)
class Entry:
    """One question, without its key."""

    subject: str  # `normal`: what the text must name
    radius: float  # at a prompt's end
    given: Given


@dataclass(frozen=True)
class Match:
    """The nearest entry of one question, and whether it answers."""

    entry: int
    answer: int
    distance: float
    radius: float

    @property
    def fires(self) -> bool:
        return self.distance <= self.radius


@dataclass(frozen=True)
class Rows:
    """What one version writes over its parent: entries, some of them over others, and answers, all
    of them new.
    """

    index: tuple[int, ...]  # ascending
    entries: tuple[Entry, ...]
    keys: Tensor  # [r, k]
    answers: tuple[Answer, ...]
    values: Tensor  # [v, d]


@dataclass(frozen=True, eq=False)
class EntityBook:
    """Immutable: `with_rows` returns another one. Kept on the CPU in float32."""

    space: RelationSpace | None = None
    entries: tuple[Entry, ...] = ()
    answers: tuple[Answer, ...] = ()
    firsts: tuple[int, ...] = ()  # by answer: the row of its first value
    key_table: Table = field(default_factory=Table)  # [n, k]
    value_table: Table = field(default_factory=Table)  # [v, d]
    digests: tuple[bytes, ...] = ()  # of the entries
    answer_digests: tuple[bytes, ...] = ()
    entries_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # by subject
    index: SubjectIndex = field(default_factory=SubjectIndex)
    asking: Asking | None = None  # reads the texts that it answers in

    @classmethod
    def empty(cls) -> "EntityBook":
        """The base model's: no entries, and no space yet."""
        return cls()

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def checksum(self) -> str:
        """sha256 of everything that decides what the model says, row by row."""
        space = "" if self.space is None else self.space.digest
        hasher = hashlib.sha256(space.encode())
        for digest in (*self.digests, *self.answer_digests):
            hasher.update(digest)
        return hasher.hexdigest()

    def read_by(self, asking: Asking) -> "EntityBook":
        """The same book, ready to answer in texts."""
        return replace(self, asking=asking)

    def look_up(
        self, subjects: Collection[str], direction: Tensor, junction: Junction, *, decoded: bool
    ) -> Match | None:
        """The entry nearest to a question's direction [k], about one of these subjects, that
        answers at the junction; None if there is none. `decoded`: it is asked at a token of the
        model's own.
        """
        rows = [
            row
            for subject in sorted(subjects)
            for row in self.entries_of.get(subject, ())
            if self.entries[row].given[junction] != NONE
        ]
        if not rows or self.space is None:
            return None
        keys = self.space.half(self.key_table.rows(rows), decoded=decoded)
        apart = distances(direction, keys)
        nearest = int(apart.argmin())
        entry = self.entries[rows[nearest]]
        radius = min(entry.radius, self.space.decoded_radius) if decoded else entry.radius
        return Match(rows[nearest], entry.given[junction], float(apart[nearest]), radius)

    def rows(self, index: Sequence[int], answers_from: int) -> Rows:
        """Some entries, and the answers from a number on."""
        answers = self.answers[answers_from:]
        first = len(self.value_table) - sum(len(answer.label) for answer in answers)
        return Rows(
            tuple(index),
            tuple(self.entries[i] for i in index),
            self.key_table.rows(index),
            answers,
            self.value_table.rows(range(first, len(self.value_table))),
        )

    def value(self, answer: int, step: int) -> Tensor:
        """[d]: what brings out a token of an answer."""
        return self.value_table.rows([self.firsts[answer] + step])[0]

    def with_rows(self, space: RelationSpace, rows: Rows) -> "EntityBook":
        """The book with `rows` written over it. Raises `ValueError` if entries past its end do not
        follow it closely, and `ConflictError` for keys of another space.
        """
        if self.space is not None and self.entries and self.space.digest != space.digest:
            raise ConflictError(
                "this log's entries were made in another relation space than the edits that are to "
                "be added"
            )
        entries, digests = list(self.entries), list(self.digests)
        entries_of = dict(self.entries_of)
        for place, (at, entry) in enumerate(zip(rows.index, rows.entries, strict=True)):
            if at > len(entries):
                raise ValueError(f"rows leave a gap behind the {len(self)} of the book")
            digest = _digest(entry, rows.keys[place])
            if at == len(entries):
                entries.append(entry)
                digests.append(digest)
                entries_of[entry.subject] = (*entries_of.get(entry.subject, ()), at)
            else:
                entries[at], digests[at] = entry, digest
        fresh = {entry.subject for entry in rows.entries} - self.entries_of.keys()
        known = len(self.value_table)
        firsts = [known, *(len(answer.label) for answer in rows.answers)][: len(rows.answers)]
        values = {known + i: value for i, value in enumerate(rows.values)}
        keys = zip(rows.index, rows.keys, strict=True)
        return EntityBook(
            space,
            tuple(entries),
            (*self.answers, *rows.answers),
            (*self.firsts, *accumulate(firsts)),
            self.key_table.with_rows(dict(keys)),
            self.value_table.with_rows(values),
            tuple(digests),
            (*self.answer_digests, *_answer_digests(rows)),
            entries_of,
            self.index.with_subjects(sorted(fresh)),
        )

    def difference(self, parent: "EntityBook") -> Rows:
        """What this book, which grew from `parent`, has over it."""
        known = len(parent)
        pairs = zip(self.digests, parent.digests, strict=False)
        changed = [i for i, (now, then) in enumerate(pairs) if now != then]
        return self.rows([*changed, *range(known, len(self))], len(parent.answers))


def _digest(entry: Entry, key: Tensor) -> bytes:
    hasher = hashlib.sha256(repr((entry.subject, entry.radius, entry.given)).encode())
    hasher.update(key.contiguous().numpy().tobytes())
    return hasher.digest()


def _answer_digests(rows: Rows) -> Iterable[bytes]:
    start = 0
    for answer in rows.answers:
        own = rows.values[start : start + len(answer.label)]
        start += len(answer.label)
        hasher = hashlib.sha256(repr((answer.label, answer.owner)).encode())
        hasher.update(own.contiguous().numpy().tobytes())
        yield hasher.digest()
