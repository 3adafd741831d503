"""How often each edit's codebook entries have answered, since this engine was made."""

from collections.abc import Sequence
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from service.editing.codebook import Codebook
from service.editing.shelf import Match

ROOM = 1_024  # edits that there is room for at first


class Hits:
    """Counts on the model's device, so that no pass waits for them: eight bytes an edit, twice that
    at most, whatever the edits' ids. Versions count together. A token that is run anew, after the
    cache was full, counts anew.
    """

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._counts = torch.zeros(ROOM, dtype=torch.int64)
        self._place_of: dict[int, int] = {}  # among the counts, by edit id
        self._owners: WeakKeyDictionary[Codebook, Tensor] = WeakKeyDictionary()  # [entries] each

    def count(self, codebook: Codebook, match: Match) -> None:
        """For one thread at a time: the one whose turn it is to use the model."""
        owners = self._owners.get(codebook)
        if owners is None:
            owners = self._owners[codebook] = self._owners_of(codebook, match.entry.device)
        self._counts.index_add_(0, owners[match.entry], match.fires.long())

    @torch.inference_mode(False)
    def add(self, edit: int) -> None:
        """Counts one token that an edit has answered; for the thread whose turn it is."""
        place = self._places([edit])[0]
        self._counts[place] += 1

    def of(self, edit_id: int) -> int:
        """How many tokens were answered by this edit. For any thread."""
        counts = self._counts
        place = self._place_of.get(edit_id, len(counts))
        return int(counts[place]) if place < len(counts) else 0

    @property
    def total(self) -> int:
        """Of all edits; waits for the device."""
        return int(self._counts.sum())

    # What a scoring pass makes in its inference mode, one that generates could not add to.
    @torch.inference_mode(False)
    def _owners_of(self, codebook: Codebook, device: torch.device) -> Tensor:
        """The place of each entry's count [entries]. There is room for them from now on."""
        return torch.tensor(self._places(codebook.owners, device), device=device)

    def _places(self, edits: Sequence[int], device: torch.device | None = None) -> list[int]:
        """Among the counts; on `device` from now on, if it is given."""
        places = [self._place_of.setdefault(edit, len(self._place_of)) for edit in edits]
        room = len(self._counts)
        while room < len(self._place_of):
            room *= 2
        device = device or self._counts.device
        if room > len(self._counts) or self._counts.device != device:
            counts = torch.zeros(room, dtype=torch.int64, device=device)
            counts[: len(self._counts)] = self._counts
            self._counts = counts
        return places
