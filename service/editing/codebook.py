"""GRACE's codebook: keys, values, deferral radii and labels, and the rule that grows it.

Hartvigsen et al. 2023, "Aging with GRACE: Lifelong Model Editing with Discrete Key-Value Adaptors".
A query, the wrapped module's input at the query token, is answered by the nearest key's value if it
lies within that key's radius, and by the module itself otherwise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import torch
from torch import Tensor

from service.editing import shelf
from service.editing.blocks import Table
from service.editing.nearest import distances
from service.editing.shelf import Held, Match, Shelf
from service.errors import ConflictError

Label = tuple[int, ...]  # token ids of the target

# Of two clashing entries the older keeps a hair less than half the way, so that a query exactly
# between them has one owner.
SPLIT_GAP = 1e-5
# Keys closer than this share of their length are one key: floating-point noise, not two places.
COINCIDENT = 1e-4
# A spelling that lies within this share of the radius of an entry of its own edit needs none.
SPELLED_REACH = 0.5


class Replacement(StrEnum):
    """Which tokens' outputs a firing entry's value replaces."""

    LAST = "replace_last"  # the query token's
    PROMPT = "replace_prompt"  # those of the tokens before it
    ALL = "replace_all"  # both


class Scope(StrEnum):
    """Which of an edit's keys get an entry of their own."""

    PHRASINGS = "phrasings"  # those of every phrasing that was given with it
    PAPER = "paper"  # those that lie in no entry of the same label: others widen that entry


@dataclass(frozen=True)
class Rule:
    """How a codebook grows."""

    # The deferral radius (epsilon) that keys begin with whose targets bring none.
    radius: float | None = None
    scope: Scope = Scope.PHRASINGS
    # How far the key of one text may move from one pass to another, as a share of its length. A
    # radius that is widened to a key goes beyond it by that much. 0: the paper's, which does not.
    noise: float = 0.0

    def slack(self, key: Tensor) -> float:
        """The same as a distance, from `key` [d]."""
        return self.noise * float(torch.linalg.vector_norm(key))


@dataclass(frozen=True)
class Site:
    """Where a codebook sits in the model."""

    layer: int
    module: str  # path within the layer
    replacement: Replacement


@dataclass(frozen=True)
class Target:
    """What one edit brings to the codebook: values, each to be found under one or more keys."""

    edit_id: int
    keys: Tensor  # [k, d_key] float32: the prompt's, then its paraphrases'
    values: Tensor  # [v, d_value] float32
    labels: tuple[Label, ...]  # [v]: what each value brings out
    value_of: tuple[int, ...]  # [k]: which value each key leads to
    spelled: tuple[bool, ...] = ()  # [k]: of a spelling, not of a given phrasing; empty: none is
    # [k]: the deferral radius that each key begins with; empty: the rule's, as before each had one.
    radii: tuple[float, ...] = ()

    def radius(self, key: int, rule: Rule) -> float:
        """What a key's radius begins with. Raises `ValueError` where nothing says."""
        radius = self.radii[key] if self.radii else rule.radius
        if radius is None:
            raise ValueError(f"nothing says how far the keys of edit {self.edit_id} reach")
        return radius

    def is_spelled(self, key: int) -> bool:
        return bool(self.spelled) and self.spelled[key]

    def is_finite(self) -> bool:
        return bool(torch.isfinite(self.keys).all() and torch.isfinite(self.values).all())


@dataclass(frozen=True)
class Rows:
    """The whole content of some of a codebook's rows: what one version writes over its parent."""

    index: tuple[int, ...]
    keys: Tensor  # [r, d_key]
    values: Tensor  # [r, d_value]
    radii: Tensor  # [r]
    labels: tuple[Label, ...]
    owners: tuple[int, ...]  # ids of the edits that wrote the values


@dataclass(frozen=True, eq=False)
class Codebook:
    """An immutable codebook: `insert` and `with_rows` return another one. Its entries are kept on
    the CPU in float32; where the model looks them up is a shelf.
    """

    site: Site | None = None
    key_table: Table = field(default_factory=Table)  # [n, d_key]
    value_table: Table = field(default_factory=Table)  # [n, d_value]
    radii: Tensor = field(default_factory=lambda: torch.empty(0))  # [n] float32
    labels: tuple[Label, ...] = ()
    owners: tuple[int, ...] = ()  # ids of the edits that wrote the values
    digests: tuple["Digest", ...] = ()
    held: Held | None = None  # on a shelf

    @classmethod
    def empty(cls) -> "Codebook":
        """The base model's: no entries, and no site yet."""
        return cls()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def keys(self) -> Tensor:
        """[n, d_key], a copy."""
        return self.key_table.rows(range(len(self)))

    @property
    def values(self) -> Tensor:
        """[n, d_value], a copy."""
        return self.value_table.rows(range(len(self)))

    @property
    def checksum(self) -> str:
        """sha256 of everything that decides what the model says, row by row."""
        rows = b"".join(digest.row for digest in self.digests)
        return hashlib.sha256(repr(self.site).encode() + rows).hexdigest()

    def look_up(self, queries: Tensor) -> Match:
        """Finds the nearest entry of each of `queries` [q, d_key]; there must be an entry."""
        (match,) = look_up([(self, queries)])
        return match

    def on(self, shelf: Shelf) -> "Codebook":
        """The same codebook, looked up on a shelf of its site."""

        def read(entries: Sequence[int]) -> tuple[Tensor, Tensor]:
            return self.key_table.rows(entries), self.value_table.rows(entries)

        contents = [digest.content for digest in self.digests]
        return replace(self, held=shelf.hold(contents, self.radii, read))

    def rows(self, index: Sequence[int]) -> Rows:
        at = list(index)
        return Rows(
            tuple(at),
            self.key_table.rows(at),
            self.value_table.rows(at),
            self.radii[at],
            tuple(self.labels[i] for i in at),
            tuple(self.owners[i] for i in at),
        )

    def with_rows(self, site: Site, rows: Rows) -> "Codebook":
        """The codebook with `rows` written over it. Raises `ValueError` if rows past its end do not
        follow it closely.
        """
        new = {index for index in rows.index if index >= len(self)}
        if new != set(range(len(self), len(self) + len(new))) or min(rows.index, default=0) < 0:
            raise ValueError(f"rows leave a gap behind the {len(self)} of the codebook")
        draft = Draft(self, site)
        for at, index in enumerate(rows.index):
            entry = _Entry(rows.keys[at], rows.values[at], rows.labels[at], rows.owners[at])
            draft.write(index, entry, float(rows.radii[at]))
        return draft.codebook()

    def insert(self, site: Site, targets: Sequence[Target], rule: Rule) -> "Codebook":
        """Inserts `targets` in order by the rule."""
        if not targets:
            return self
        draft = Draft(self, site)
        draft.insert(targets, rule)
        return draft.codebook()

    def difference(self, parent: "Codebook") -> Rows:
        """The rows in which this codebook differs from the one that it grew from."""
        known = len(parent)
        pairs = zip(self.digests, parent.digests, strict=False)
        changed = [i for i, (now, then) in enumerate(pairs) if now != then]
        return self.rows([*changed, *range(known, len(self))])


class Draft:
    """A codebook under construction: what is written over the base; `codebook()` seals it."""

    def __init__(self, base: Codebook, site: Site) -> None:
        if len(base) and base.site != site:
            raise ConflictError(
                f"this log's codebook sits at {base.site}, and an edit asks for {site}"
            )
        # An empty one holds no key of the site that it is left at.
        self._base = base if len(base) else Codebook.empty()
        self._site = site
        self._size = len(base)
        self._written: dict[int, _Entry] = {}
        self._radii: dict[int, float] = {}

    def insert(self, targets: Sequence[Target], rule: Rule) -> list[list[int]]:
        """Inserts each target under each of its keys; returns the entries that they went to."""
        keys = torch.cat([target.keys for target in targets])
        # Entries keep their keys, so that all distances can be had at once.
        size = self._size
        among = distances(keys, keys)
        rows, least = self._base.key_table.nearest(keys)
        nearest = zip(least.tolist(), rows.tolist(), strict=True)
        added: list[int] = []  # which of the keys have entries of their own
        number = 0
        entries: list[list[int]] = []
        for target in targets:
            entries.append([])
            corrected: set[int] = set()  # edits that it gives another target at one of their keys
            for place, (key, value) in enumerate(zip(target.keys, target.value_of, strict=True)):
                distance, near = next(nearest)
                if added:
                    own, at = among[number, added].min(dim=0)
                    if float(own) < distance:
                        distance, near = float(own), size + int(at)
                new = _Entry(key, target.values[value], target.labels[value], target.edit_id)
                radius = target.radius(place, rule)
                if rule.scope is Scope.PAPER:
                    entry = self._insert_by_paper(new, rule, radius, near, distance)
                else:
                    entry = self._insert_phrasing(
                        new,
                        rule,
                        radius,
                        near,
                        distance,
                        spelled=target.is_spelled(place),
                        narrows=bool(target.radii),
                        corrected=corrected,
                    )
                if entry == size + len(added):
                    added.append(number)
                entries[-1].append(entry)
                number += 1
        return entries

    def _insert_by_paper(
        self, new: "_Entry", rule: Rule, radius: float, near: int, distance: float
    ) -> int:
        """GRACE's own rule. `radius`: what the new entry begins with; `near`: the entry nearest to
        it, and how far that is.
        """
        if distance < torch.inf:
            reach = self._radius(near)
            if distance <= radius + reach:
                held = self._entry(near)
                # An entry keeps its key when it gets a new value, label and owner.
                renewed = replace(new, key=held.key)
                if held.label == new.label:
                    self.write(near, renewed, max(reach, distance + rule.slack(new.key)))
                    return near
                if _coincide(new, distance, rule):
                    # A correction of a correction: no radius can part the two.
                    self.write(near, renewed, reach)
                    return near
                self.write(near, held, distance / 2 - SPLIT_GAP)
                radius = distance / 2
        self.write(self._size, new, radius)
        return self._size - 1

    def _insert_phrasing(
        self,
        new: "_Entry",
        rule: Rule,
        radius: float,
        near: int,
        distance: float,
        *,
        spelled: bool,
        narrows: bool,
        corrected: set[int],
    ) -> int:
        """Gives a phrasing an entry of its own, so that no later split takes it from its edit. A
        spelling needs none that lies well within an entry of its own edit.

        Where another edit has an entry already, a given phrasing takes it over: a correction of a
        correction. A spelling does so only if a given phrasing did, and never where its own edit
        has one: what was given goes before it. `narrows`: an entry that is taken over reaches no
        further than the new one would.
        """
        if distance < torch.inf:
            reach, held = self._radius(near), self._entry(near)
            if _coincide(new, distance, rule):
                if spelled and held.owner not in corrected:
                    return near
                if not spelled and held.owner != new.owner:
                    corrected.add(held.owner)
                # An entry keeps its key.
                kept = min(reach, radius) if narrows else reach
                self.write(near, replace(new, key=held.key), kept)
                return near
            own = held.owner == new.owner and held.label == new.label
            if spelled and own and distance <= reach * SPELLED_REACH:
                return near
            if held.label != new.label and distance <= radius + reach:
                self.write(near, held, min(reach, distance / 2 - SPLIT_GAP))
                radius = min(radius, distance / 2)
        self.write(self._size, new, radius)
        return self._size - 1

    def _entry(self, at: int) -> "_Entry":
        if at in self._written:
            return self._written[at]
        rows = self._base.rows([at])
        return _Entry(rows.keys[0], rows.values[0], rows.labels[0], rows.owners[0])

    def _radius(self, at: int) -> float:
        return self._radii[at] if at in self._radii else float(self._base.radii[at])

    def write(self, at: int, entry: "_Entry", radius: float) -> None:
        """Writes one row, or the next one after the last."""
        self._size = max(self._size, at + 1)
        self._written[at] = entry
        self._radii[at] = float(torch.tensor(radius, dtype=torch.float32))

    def codebook(self) -> Codebook:
        base, written = self._base, self._written
        more = self._size - len(base)
        radii = torch.cat([base.radii, torch.empty(more)])
        labels = [*base.labels, *[()] * more]
        owners = [*base.owners, *[0] * more]
        digests = [*base.digests, *[Digest(b"", b"")] * more]
        for at, entry in written.items():
            radii[at] = self._radii[at]
            labels[at], owners[at] = entry.label, entry.owner
            digests[at] = entry.digest(radii[at])
        return Codebook(
            self._site,
            base.key_table.with_rows({at: entry.key for at, entry in written.items()}),
            base.value_table.with_rows({at: entry.value for at, entry in written.items()}),
            radii,
            tuple(labels),
            tuple(owners),
            tuple(digests),
        )


def look_up(asked: Sequence[tuple[Codebook, Tensor]]) -> list[Match]:
    """Finds the nearest entry of each of a codebook's queries [q, d_key], for many codebooks; each
    has an entry. Those on one shelf share a matrix product.
    """
    standing = [(book.held, queries) for book, queries in asked if book.held is not None]
    found = iter(shelf.look_up(standing))
    return [
        _look_up(book, queries) if book.held is None else next(found) for book, queries in asked
    ]


def _look_up(codebook: Codebook, queries: Tensor) -> Match:
    """On the CPU."""
    entry, distance = codebook.key_table.nearest(queries)
    values = codebook.value_table.rows(entry.tolist())
    return Match(entry, distance, distance <= codebook.radii[entry], values)


def _coincide(new: "_Entry", distance: float, rule: Rule) -> bool:
    """Whether an entry this far away is at the same place."""
    share = max(COINCIDENT, rule.noise)
    return distance <= share * float(torch.linalg.vector_norm(new.key))


@dataclass(frozen=True)
class Digest:
    """sha256 of an entry."""

    row: bytes  # label, key, value and radius
    content: bytes  # all but the radius


@dataclass(frozen=True)
class _Entry:
    """One row without its radius."""

    key: Tensor  # [d_key]
    value: Tensor  # [d_value]
    label: Label
    owner: int

    def digest(self, radius: Tensor) -> Digest:
        hasher = hashlib.sha256(repr(self.label).encode())
        hasher.update(self.key.numpy().tobytes())
        hasher.update(self.value.numpy().tobytes())
        content = hasher.digest()
        hasher.update(radius.numpy().tobytes())
        return Digest(hasher.digest(), content)
