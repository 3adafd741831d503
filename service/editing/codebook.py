"""GRACE's codebook: keys, values, deferral radii and labels, and the rule that grows it.

Hartvigsen et al. 2023, "Aging with GRACE: Lifelong Model Editing with Discrete Key-Value Adaptors".
A query, the wrapped module's input at the query token, is answered by the nearest key's value if it
lies within that key's radius, and by the module itself otherwise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
from torch import Tensor

from service.errors import ConflictError

Label = tuple[int, ...]  # token ids of the target

# Of two clashing entries the older keeps a hair less than half the way, so that a query exactly
# between them has one owner.
SPLIT_GAP = 1e-5
# New keys whose distances to all entries are held at once.
KEYS_AT_ONCE = 256
# Keys closer than this share of their length are one key: floating-point noise, not two places.
COINCIDENT = 1e-4


class Replacement(StrEnum):
    """Which tokens' outputs a firing entry's value replaces."""

    LAST = "replace_last"  # the query token's
    PROMPT = "replace_prompt"  # those of the tokens before it
    ALL = "replace_all"  # both


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


@dataclass(frozen=True)
class Match:
    """The nearest entry of each query, and whether it answers."""

    entry: Tensor  # [q] int64
    distance: Tensor  # [q] float32
    fires: Tensor  # [q] bool


class Codebook:
    """An immutable codebook: `insert` and `with_rows` return another one."""

    def __init__(self, site: Site | None, rows: Rows, digests: tuple[bytes, ...]) -> None:
        self.site = site
        self.keys = rows.keys
        self.values = rows.values
        self.radii = rows.radii
        self.labels = rows.labels
        self.owners = rows.owners
        self._digests = digests

    @classmethod
    def empty(cls) -> "Codebook":
        """The base model's: no entries, and no site yet."""
        nothing = torch.empty(0)
        return cls(None, Rows((), torch.empty(0, 0), torch.empty(0, 0), nothing, (), ()), ())

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def checksum(self) -> str:
        """sha256 of everything that decides what the model says, row by row."""
        return hashlib.sha256(repr(self.site).encode() + b"".join(self._digests)).hexdigest()

    def look_up(self, queries: Tensor) -> Match:
        """Finds the nearest entry of each of `queries` [q, d_key]; there must be an entry."""
        distance, entry = _distances(queries.float(), self.keys).min(dim=1)
        return Match(entry, distance, distance <= self.radii[entry])

    def to(self, device: torch.device) -> "Codebook":
        if self.keys.device == device:
            return self
        rows = self.rows(range(len(self)))
        moved = Rows(
            rows.index,
            rows.keys.to(device),
            rows.values.to(device),
            rows.radii.to(device),
            rows.labels,
            rows.owners,
        )
        return Codebook(self.site, moved, self._digests)

    def rows(self, index: Sequence[int]) -> Rows:
        at = list(index)
        return Rows(
            tuple(at),
            self.keys[at],
            self.values[at],
            self.radii[at],
            tuple(self.labels[i] for i in at),
            tuple(self.owners[i] for i in at),
        )

    def with_rows(self, site: Site, rows: Rows) -> "Codebook":
        """The codebook with `rows` written over it; rows past its end must follow it closely."""
        draft = Draft(self, site, rows.keys.shape[1], rows.values.shape[1], len(rows.index))
        for at, index in enumerate(rows.index):
            entry = _Entry(rows.keys[at], rows.values[at], rows.labels[at], rows.owners[at])
            draft.write(index, entry, float(rows.radii[at]))
        return draft.codebook()

    def insert(self, site: Site, targets: Sequence[Target], radius: float) -> "Codebook":
        """Inserts `targets` in order by GRACE's rule. `radius` is the initial deferral radius
        (epsilon).
        """
        if not targets:
            return self
        draft = self.draft(site, targets)
        draft.insert(targets, radius)
        return draft.codebook()

    def difference(self, parent: "Codebook") -> Rows:
        """The rows in which this codebook differs from the one that it grew from."""
        known = len(parent)
        pairs = zip(self._digests, parent._digests, strict=False)
        changed = [i for i, (now, then) in enumerate(pairs) if now != then]
        return self.rows([*changed, *range(known, len(self))])

    def draft(self, site: Site, targets: Sequence[Target]) -> "Draft":
        """A draft with room for `targets`."""
        first = targets[0]
        room = sum(len(target.keys) for target in targets)
        return Draft(self, site, first.keys.shape[1], first.values.shape[1], room)


class Draft:
    """A codebook under construction: rows are written in place, then `codebook()` seals them."""

    def __init__(self, base: Codebook, site: Site, d_key: int, d_value: int, room: int) -> None:
        if base.site not in (None, site):
            raise ConflictError(
                f"this log's codebook sits at {base.site}, and an edit asks for {site}"
            )
        self._site = site
        size = len(base)
        self._keys = torch.zeros(size + room, d_key)
        self._values = torch.zeros(size + room, d_value)
        self._radii = torch.zeros(size + room)
        if size:
            self._keys[:size] = base.keys
            self._values[:size] = base.values
            self._radii[:size] = base.radii
        self._labels = list(base.labels)
        self._owners = list(base.owners)
        self._digests = list(base._digests)
        self._touched: set[int] = set()

    def insert(self, targets: Sequence[Target], radius: float) -> list[list[int]]:
        """Inserts each target under each of its keys; returns the entries that they went to."""
        keys = torch.cat([target.keys for target in targets])
        # Entries keep their keys, so that all distances can be had at once.
        size = len(self._labels)
        among = _distances(keys, keys)
        known = [_nearest(some, self._keys[:size]) for some in keys.split(KEYS_AT_ONCE)]
        nearest = (pair for pairs in known for pair in pairs)
        added: list[int] = []  # which of the keys have entries of their own
        number = 0
        entries: list[list[int]] = []
        for target in targets:
            entries.append([])
            for key, value in zip(target.keys, target.value_of, strict=True):
                distance, near = next(nearest)
                if added:
                    own, at = among[number, added].min(dim=0)
                    if float(own) < distance:
                        distance, near = float(own), size + int(at)
                new = _Entry(key, target.values[value], target.labels[value], target.edit_id)
                entry = self._insert(new, radius, near, distance)
                if entry == size + len(added):
                    added.append(number)
                entries[-1].append(entry)
                number += 1
        return entries

    def _insert(self, new: "_Entry", radius: float, near: int, distance: float) -> int:
        """`near`: the entry nearest to the new one, and how far it is."""
        if distance < torch.inf:
            reach = float(self._radii[near])
            if distance <= radius + reach:
                if self._labels[near] == new.label:
                    self._rewrite(near, new, max(distance, reach))
                    return near
                if distance <= COINCIDENT * float(torch.linalg.vector_norm(new.key)):
                    # A correction of a correction: no radius can part the two.
                    self._rewrite(near, new, reach)
                    return near
                self.write(near, self._entry(near), distance / 2 - SPLIT_GAP)
                radius = distance / 2
        size = len(self._labels)
        self.write(size, new, radius)
        return size

    def _rewrite(self, at: int, new: "_Entry", radius: float) -> None:
        """Gives an entry a new value, label and owner under its old key."""
        self.write(at, replace(new, key=self._keys[at]), radius)

    def _entry(self, at: int) -> "_Entry":
        return _Entry(self._keys[at], self._values[at], self._labels[at], self._owners[at])

    def write(self, at: int, entry: "_Entry", radius: float) -> None:
        """Writes one row, or the next one after the last."""
        if at == len(self._labels):
            self._labels.append(entry.label)
            self._owners.append(entry.owner)
            self._digests.append(b"")
        self._keys[at] = entry.key
        self._values[at] = entry.value
        self._radii[at] = radius
        self._labels[at] = entry.label
        self._owners[at] = entry.owner
        self._touched.add(at)

    def codebook(self) -> Codebook:
        size = len(self._labels)
        for entry in self._touched:
            self._digests[entry] = self._digest(entry)
        rows = Rows(
            tuple(range(size)),
            self._keys[:size],
            self._values[:size],
            self._radii[:size],
            tuple(self._labels),
            tuple(self._owners),
        )
        return Codebook(self._site, rows, tuple(self._digests))

    def _digest(self, entry: int) -> bytes:
        hasher = hashlib.sha256(repr(self._labels[entry]).encode())
        for tensor in (self._keys[entry], self._values[entry], self._radii[entry]):
            hasher.update(tensor.numpy().tobytes())
        return hasher.digest()


def _distances(queries: Tensor, keys: Tensor) -> Tensor:
    """[q, k], each the same whatever else is asked for with it."""
    return torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist")


def _nearest(queries: Tensor, keys: Tensor) -> list[tuple[float, int]]:
    """Each query's distance to the nearest of `keys`, and which that is."""
    if not len(keys):
        return [(torch.inf, 0)] * len(queries)
    distance, entry = _distances(queries, keys).min(dim=1)
    return list(zip(distance.tolist(), entry.tolist(), strict=True))


@dataclass(frozen=True)
class _Entry:
    """One row without its radius."""

    key: Tensor  # [d_key]
    value: Tensor  # [d_value]
    label: Label
    owner: int
