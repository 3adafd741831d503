"""Where codebooks stand while they are asked: one store of keys and values for all of a site.

Versions of a log differ in few entries. Each row is held once however many of them have it, in the
model's dtype on its device; a version is an index into the rows, and its radii. One matrix product
answers for queries of all versions. Rows that no living version has make room for new ones.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakSet

import torch
from torch import Tensor

from service.editing.nearest import ABSENT, nearest
from service.errors import ConflictError

# Gives the keys and values of some entries, in float32 on the CPU.
Read = Callable[[Sequence[int]], tuple[Tensor, Tensor]]

# Room kept for rows to come, in bytes per row held: each time it is used up all rows are copied.
# Twice as much is given back.
SPARE = 64
ROWS_AT_ONCE = 4_096  # on their way to the device


@dataclass(frozen=True)
class Match:
    """The nearest entry of each query, and whether it answers."""

    entry: Tensor  # [q] int64
    distance: Tensor  # [q] float32
    fires: Tensor  # [q] bool
    values: Tensor  # [q, d_value]: the entry's


@dataclass(frozen=True, eq=False)
class Store:
    keys: Tensor  # [n, d_key]
    values: Tensor  # [n, d_value]
    squares: Tensor  # [n] float32: the keys' squared lengths


@dataclass(frozen=True, eq=False)
class Place:
    """A version in a store."""

    store: Store
    entry_of: Tensor  # [n] int32: the entry in each row, ABSENT in rows of other versions
    radii: Tensor  # [entries] float32
    first: int  # of its rows
    last: int

    @classmethod
    def of(cls, store: Store, entry_of: Tensor, radii: Tensor) -> "Place":
        rows = (entry_of != ABSENT).nonzero()
        return cls(store, entry_of, radii, int(rows[0]), int(rows[-1]))


class Held:
    """A version on a shelf, for as long as anyone refers to it."""

    def __init__(self, shelf: "Shelf", place: Place) -> None:
        self._shelf = shelf  # lives as long as what stands on it
        self.place = place  # another one once the shelf has moved its rows


class Shelf:
    """Safe to use from any thread."""

    def __init__(self, d_key: int, d_value: int, dtype: torch.dtype, device: torch.device) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._held: WeakSet[Held] = WeakSet()
        self._store = Store(
            keys=torch.empty(0, d_key, dtype=dtype, device=device),
            values=torch.empty(0, d_value, dtype=dtype, device=device),
            squares=torch.empty(0, device=device),
        )
        self._row_of: dict[bytes, int] = {}  # by digest

    def hold(self, digests: Sequence[bytes], radii: Tensor, read: Read) -> Held:
        """Holds the version whose entries' keys and values have these digests. Raises
        `ConflictError` if the keys are not numbers of this shelf's dtype.
        """
        with self._lock:
            living = list(self._held)
            self._forget(living)
            fresh = {d: entry for entry, d in enumerate(digests) if d not in self._row_of}
            self._make_room(living, len(self._row_of) + len(fresh))
            self._write(fresh, read)
            rows = torch.tensor([self._row_of[digest] for digest in digests])
            entries = torch.arange(len(rows), dtype=torch.int32)
            entry_of = torch.full((len(self._store.keys),), ABSENT, dtype=torch.int32)
            # Of twins the first answers.
            entry_of.scatter_reduce_(0, rows, entries, "amin")
            place = Place.of(self._store, entry_of.to(self._device), radii.to(self._device))
            held = Held(self, place)
            self._held.add(held)
            return held

    def _forget(self, living: Sequence[Held]) -> None:
        """Frees the rows that no living version has."""
        used = torch.zeros(len(self._store.keys), dtype=torch.bool, device=self._device)
        for held in living:
            used |= held.place.entry_of != ABSENT
        alive = used.tolist()
        self._row_of = {digest: row for digest, row in self._row_of.items() if alive[row]}

    def _make_room(self, living: Sequence[Held], needed: int) -> None:
        """Moves the rows to another store where this one is too small, or much too large."""
        old = self._store
        spare = needed * SPARE // (_bytes(old.keys) + _bytes(old.values))
        if needed <= len(old.keys) <= needed + 2 * spare:
            return
        kept = sorted(self._row_of.items(), key=lambda item: item[1])
        rows = torch.tensor([row for _, row in kept], dtype=torch.int64, device=self._device)
        size = needed + spare
        store = Store(*(_moved(t, rows, size) for t in (old.keys, old.values, old.squares)))
        places = [
            Place.of(store, _moved(held.place.entry_of, rows, size, ABSENT), held.place.radii)
            for held in living
        ]
        # All at once: memory may have ended before.
        self._store = store
        self._row_of = {digest: row for row, (digest, _) in enumerate(kept)}
        for held, place in zip(living, places, strict=True):
            held.place = place

    def _write(self, fresh: Mapping[bytes, int], read: Read) -> None:
        """Writes new entries, by digest, into free rows. Passes may be reading the other rows."""
        keys, values, squares = self._store.keys, self._store.values, self._store.squares
        free = torch.ones(len(keys), dtype=torch.bool)
        free[list(self._row_of.values())] = False
        rows = free.nonzero()[: len(fresh), 0]
        digests = list(fresh)
        for start in range(0, len(digests), ROWS_AT_ONCE):
            some = digests[start : start + ROWS_AT_ONCE]
            at = rows[start : start + ROWS_AT_ONCE]
            wide, own = read([fresh[digest] for digest in some])
            narrow = wide.to(keys.dtype)
            if not torch.equal(narrow.float(), wide):
                raise ConflictError(f"the codebook's keys were not made by a model in {keys.dtype}")
            here = at.to(self._device)
            keys[here] = narrow.to(self._device)
            values[here] = own.to(self._device, values.dtype)
            squares[here] = wide.square().sum(dim=1).to(self._device)
            self._row_of.update(zip(some, at.tolist(), strict=True))


def look_up(asked: Sequence[tuple[Held, Tensor]]) -> list[Match]:
    """Finds the entries nearest to each version's queries [q, d_key]; each has an entry. Versions
    of one site share a matrix product.
    """
    places = [held.place for held, _ in asked]
    sharing: defaultdict[Store, list[int]] = defaultdict(list)
    for number, place in enumerate(places):
        sharing[place.store].append(number)
    matches: dict[int, Match] = {}
    for store, numbers in sharing.items():
        some = [asked[number][1] for number in numbers]
        first = min(places[number].first for number in numbers)
        rows = slice(first, max(places[number].last for number in numbers) + 1)
        ranks = torch.stack([places[number].entry_of[rows] for number in numbers])
        group = None
        if len(numbers) > 1:
            group = torch.tensor([g for g, queries in enumerate(some) for _ in range(len(queries))])
            group = group.to(ranks.device, torch.int64)
        found = nearest(torch.cat(some), store.keys[rows], store.squares[rows], ranks, group)
        start = 0
        for number, queries in zip(numbers, some, strict=True):
            own = slice(start, start + len(queries))
            start = own.stop
            entry, distance = found.rank[own], found.distance[own]
            fires = distance <= places[number].radii[entry]
            matches[number] = Match(entry, distance, fires, store.values[first + found.row[own]])
    return [matches[number] for number in range(len(asked))]


def _bytes(rows: Tensor) -> int:
    return rows.shape[1] * rows.element_size()


def _moved(old: Tensor, rows: Tensor, size: int, fill: int = 0) -> Tensor:
    """`rows` of a tensor, at the beginning of one of `size` rows."""
    new = torch.full((size, *old.shape[1:]), fill, dtype=old.dtype, device=old.device)
    torch.index_select(old, 0, rows, out=new[: len(rows)])
    return new
