"""How an entity book grows: each question of an edit gets an entry of its own.

Where another edit has an entry at the same place, the later one takes it over, and with it those
entries of the other edit that its question reaches: a correction of a correction.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from service.editing.entity.asking import Junction
from service.editing.entity.book import NONE, Answer, EntityBook, Entry, Given, Label, Rows
from service.editing.entity.relation_space import RelationSpace, distances


@dataclass(frozen=True)
class Target:
    """What one edit brings: questions, and answers by the junction at which they are given."""

    edit_id: int
    space: RelationSpace  # of the keys
    subjects: tuple[str, ...]  # [n]: `normal`
    keys: Tensor  # [n, k] float32, of length 1
    radii: tuple[float, ...]  # [n]
    answer_of: tuple[int, ...]  # [n]: the answer that follows each question as it was asked
    junctions: tuple[Junction, ...]  # [a]
    labels: tuple[Label, ...]  # [a]
    values: Tensor  # [v, d] float32: one for each token of each label

    def is_finite(self) -> bool:
        return bool(torch.isfinite(self.keys).all() and torch.isfinite(self.values).all())

    def given(self, question: int, first: int) -> Given:
        """The answers to one question, where the edit's are numbered from `first` on: its own, and
        at other junctions the first one that the edit has there.
        """
        at = [NONE] * len(Junction)
        for number in reversed(range(len(self.labels))):
            at[self.junctions[number]] = first + number
        own = self.answer_of[question]
        at[self.junctions[own]] = first + own
        bare, spaced, chat = at
        return bare, spaced, chat


def insert(book: EntityBook, targets: Sequence[Target], noise: float) -> EntityBook:
    """Inserts `targets` in order. Keys within the distance `noise` are one place. Raises
    `ConflictError` for keys of another space than the book's.
    """
    if not targets:
        return book
    draft = Draft(book, targets[0].space, noise)
    for target in targets:
        draft.add(target)
    return book.with_rows(targets[0].space, draft.rows())


class Draft:
    """What is written over a book."""

    def __init__(self, base: EntityBook, space: RelationSpace, noise: float) -> None:
        self._base = base
        self._space = space
        self._noise = noise
        self._size = len(base)
        self._written: dict[int, Entry] = {}
        self._keys: dict[int, Tensor] = {}  # of new entries
        self._new_of: defaultdict[str, list[int]] = defaultdict(list)  # new entries, by subject
        self._answers: list[Answer] = []
        self._values: list[Tensor] = []

    def add(self, target: Target) -> None:
        first = len(self._base.answers) + len(self._answers)
        self._answers += [Answer(label, target.edit_id) for label in target.labels]
        self._values.append(target.values)
        overtaken: set[int] = set()  # answers of other edits
        for number, (subject, key) in enumerate(zip(target.subjects, target.keys, strict=True)):
            entry = Entry(subject, target.radii[number], target.given(number, first))
            near = next(self._within(subject, key, self._noise), None)
            if near is None:
                self._append(entry, key)
                continue
            known = self._entry(near)
            if max(known.given) >= first:  # the edit's own: what came first goes before
                self._written[near] = replace(known, given=_over(entry.given, known.given))
                continue
            pairs = zip(known.given, entry.given, strict=True)
            overtaken |= {was for was, new in pairs if NONE not in (was, new)}
            self._written[near] = replace(entry, given=_over(known.given, entry.given))
        if overtaken:
            self._take_over(target, first, overtaken)

    def rows(self) -> Rows:
        index = sorted(self._written)
        base = iter(self._base.key_table.rows([at for at in index if at < len(self._base)]))
        keys = [self._keys[at] if at in self._keys else next(base) for at in index]
        return Rows(
            tuple(index),
            tuple(self._written[at] for at in index),
            torch.stack(keys),
            tuple(self._answers),
            torch.cat(self._values),
        )

    def _append(self, entry: Entry, key: Tensor) -> None:
        self._written[self._size] = entry
        self._keys[self._size] = key
        self._new_of[entry.subject].append(self._size)
        self._size += 1

    def _take_over(self, target: Target, first: int, overtaken: set[int]) -> None:
        for number, (subject, key) in enumerate(zip(target.subjects, target.keys, strict=True)):
            given = target.given(number, first)
            for at in self._within(subject, key, target.radii[number]):
                known = self._entry(at)
                bare, spaced, chat = (
                    new if was in overtaken and new != NONE else was
                    for was, new in zip(known.given, given, strict=True)
                )
                now = (bare, spaced, chat)
                if now != known.given:
                    self._written[at] = replace(known, given=now)

    def _within(self, subject: str, key: Tensor, reach: float) -> Iterator[int]:
        """The entries of a subject whose keys lie within a distance, the nearest first."""
        known = self._base.entries_of.get(subject, ())
        new = self._new_of.get(subject, [])
        at = [*known, *new]
        if not at:
            return
        own = [self._keys[i][None] for i in new]
        keys = torch.cat([self._base.key_table.rows(known), *own] if known else own)
        apart = distances(*(self._space.half(side, decoded=False) for side in (key, keys)))
        for place in apart.argsort(stable=True).tolist():
            if float(apart[place]) > reach:
                return
            yield at[place]

    def _entry(self, at: int) -> Entry:
        return self._written[at] if at in self._written else self._base.entries[at]


def _over(under: Given, over: Given) -> Given:
    """`over`, and `under` where it has no answer."""
    bare, spaced, chat = (a if a != NONE else b for a, b in zip(over, under, strict=True))
    return bare, spaced, chat
