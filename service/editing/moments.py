"""The second moments that the update rules solve with; float64, on the model's device."""

from collections.abc import Mapping

import torch
from torch import Tensor

from service.editing.arithmetic import CURRENT, Arithmetic
from service.editing.hook_layer import Update
from service.editing.key_statistics import KeyStatistics

# Neurons that hardly ever fire, or that others account for, leave C_0 singular but for float32's
# rounding: then this share of its mean diagonal is added to it. Elsewhere it is left out, for it
# moves the solved change by more than a hundred times what rounding does.
RIDGE = 1e-6


class Moments:
    """Of the layers of one editor. What a history of batches adds up to is kept from one call to
    the next, so that a batch costs the same however many went before. Safe to use from any thread.
    """

    def __init__(
        self,
        statistics: Mapping[int, KeyStatistics],
        weight: float,
        arithmetic: Arithmetic = CURRENT,
    ) -> None:
        self._statistics = statistics
        self._weight = weight  # lambda
        self._arithmetic = arithmetic
        self._ridges: dict[int, Tensor] = {}
        self._sums: dict[int, tuple[tuple[Update, ...], Tensor]] = {}

    def second(self, number: int, device: torch.device) -> Tensor:
        """C_0 [d_in, d_in] of a layer."""
        moment = self._statistics[number].second_moment.to(device, torch.float64)
        if number not in self._ridges:
            self._ridges[number] = (
                RIDGE * moment.diagonal().mean()
                if self._arithmetic is Arithmetic.RIDGED
                else _needed_ridge(moment)
            )
        moment.diagonal().add_(self._ridges[number])
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


def _needed_ridge(moment: Tensor) -> Tensor:
    """[d_in]: what must be added to the diagonal of C_0 [d_in, d_in]. It is something for neurons
    that hardly ever fire; and for all, where the others account for some neuron but for rounding.
    """
    diagonal = moment.diagonal()
    least = RIDGE * diagonal.mean()
    ridge = torch.where(diagonal < least, least, 0.0)
    raised = moment.clone()
    raised.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(raised)
    left_over = factor.diagonal().square()  # of each neuron, by those before it
    noise = RIDGE / 2 * torch.maximum(diagonal, diagonal.mean())
    if bool(failed) or bool((left_over < noise).any()):
        return least.expand_as(ridge)
    return ridge
