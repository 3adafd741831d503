"""The second moments that the update rules solve with; float64, on the model's device."""

from collections.abc import Mapping

import torch
from torch import Tensor

from service.editing.hook_layer import Update
from service.editing.key_statistics import KeyStatistics

# Neurons that hardly ever fire leave C_0 singular, or with less on them than float32 tells from
# nothing: this share of its mean diagonal is added to it.
RIDGE = 1e-6


class Moments:
    """Of the layers of one editor. What a history of batches adds up to is kept from one call to
    the next, so that a batch costs the same however many went before. Safe to use from any thread.
    """

    def __init__(self, statistics: Mapping[int, KeyStatistics], weight: float) -> None:
        self._statistics = statistics
        self._weight = weight  # lambda
        self._sums: dict[int, tuple[tuple[Update, ...], Tensor]] = {}

    def second(self, number: int, device: torch.device) -> Tensor:
        """C_0 [d_in, d_in] of a layer."""
        moment = self._statistics[number].second_moment.to(device, torch.float64)
        moment.diagonal().add_(RIDGE * moment.diagonal().mean())
        return moment

    def weighted(self, number: int, updates: tuple[Update, ...], device: torch.device) -> Tensor:
        """Lambda C_0 plus the K K^T of `updates` [d_in, d_in]."""
        moment = self.second(number, device).mul_(self._weight)
        if not updates:
            return moment
        total = self._sum(number, updates, device)
        moment.add_(total)
        self._sums[number] = (updates, total)
        return moment

    def _sum(self, number: int, updates: tuple[Update, ...], device: torch.device) -> Tensor:
        """C_accu without C_0: the sum of K K^T, batch after batch. It is the caller's to put back:
        while it grows in place nobody else has it, and where that fails it is made anew.
        """
        known, total = self._sums.pop(number, ((), None))
        if total is None or updates[: len(known)] != known:  # another history
            width = len(updates[0].keys)
            known, total = (), torch.zeros(width, width, dtype=torch.float64, device=device)
        for update in updates[len(known) :]:
            keys = update.keys.to(total)
            total.addmm_(keys, keys.T)
        return total
