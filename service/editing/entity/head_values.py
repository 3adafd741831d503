"""Finds the states that make the model's head say given tokens.

A value takes the place of what the head is given, so that it says its token in every context.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from service.editing.descent import Losses, descend
from service.editing.logits import logits_of

ROWS = 64  # whose logits are held at once


class HeadTrial:
    """Rows [r] of a table of values in units of `scale`, each to bring out one of `tokens` [r]."""

    def __init__(self, model: PreTrainedModel, rows: Tensor, tokens: Tensor, scale: float) -> None:
        self.rows = self.units = rows
        self.unit_of_row = torch.arange(len(rows), device=rows.device)
        self._model = model
        self._tokens = tokens
        self._scale = scale

    def part(self, units: Tensor) -> "HeadTrial":
        left = torch.isin(self.rows, units)
        return HeadTrial(self._model, self.rows[left], self._tokens[left], self._scale)

    def losses(self, values: Tensor) -> Losses:
        logits = logits_of(self._model, (values * self._scale).to(self._model.dtype)).float()
        found = cross_entropy(logits, self._tokens.to(logits.device), reduction="none")
        found = found.to(values.device)
        return Losses(found, found.detach())


def head_values(
    model: PreTrainedModel,
    starts: Tensor,
    tokens: list[int],
    *,
    learning_rate: float,
    steps: int,
    stop_loss: float,
) -> Tensor:
    """[v, d] float32, on the CPU: from `starts` [v, d], what the head is given without them, by
    Adam, until each brings out its token. `learning_rate` is a share of the starts' mean size;
    `stop_loss` in nats.
    """
    found = []
    for part, wanted in zip(starts.split(ROWS), torch.tensor(tokens).split(ROWS), strict=True):
        table = part.to(model.device, torch.float32)
        scale = float(table.square().mean().sqrt()) or 1.0
        table = table / scale
        rows = torch.arange(len(table), device=table.device)
        trial = HeadTrial(model, rows, wanted.to(table.device), scale)
        descend(table, trial, learning_rate=learning_rate, steps=steps, stop_loss=stop_loss)
        found.append((table * scale).cpu())
    return torch.cat(found)
