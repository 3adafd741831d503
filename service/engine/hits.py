"""How often each edit's codebook entries have answered, since this engine was made."""

from datetime import UTC, datetime
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from service.editing.codebook import Codebook
from service.editing.shelf import Match

ROOM = 1_024  # edits that there is room for at first


class Hits:
    """Counts on the model's device, so that no pass waits for them; by edit id, which count up from
    one: eight bytes an edit, twice that at most. Versions count together. A token that is run anew,
    after the cache was full, counts anew.
    """

    def __init__(self) -> None:
        self.since = datetime.now(UTC)
        self._counts = torch.zeros(ROOM, dtype=torch.int64)
        self._owners: WeakKeyDictionary[Codebook, Tensor] = WeakKeyDictionary()  # [entries] each

    def count(self, codebook: Codebook, match: Match) -> None:
        """For one thread at a time: the one whose turn it is to use the model."""
        owners = self._owners.get(codebook)
        if owners is None:
            owners = self._owners[codebook] = self._owners_of(codebook, match.entry.device)
        self._counts.index_add_(0, owners[match.entry], match.fires.long())

    def of(self, edit_id: int) -> int:
        """How many tokens were answered by this edit. For any thread."""
        counts = self._counts
        return int(counts[edit_id]) if edit_id < len(counts) else 0

    @property
    def total(self) -> int:
        """Of all edits; waits for the device."""
        return int(self._counts.sum())

    # What a scoring pass makes in its inference mode, one that generates could not add to.
    @torch.inference_mode(False)
    def _owners_of(self, codebook: Codebook, device: torch.device) -> Tensor:
        """Of each entry [entries]. There is room to count them from now on."""
        room = len(self._counts)
        while room <= max(codebook.owners):
            room *= 2
        if room > len(self._counts) or self._counts.device != device:
            counts = torch.zeros(room, dtype=torch.int64, device=device)
            counts[: len(self._counts)] = self._counts
            self._counts = counts
        return torch.tensor(codebook.owners, device=device)
