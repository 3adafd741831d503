"""The loop that optimises the vectors of a whole batch at once."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from service.editing.adam import Adam


class Trial(Protocol):
    """One packed batch: tries rows of the table and says how well they do."""

    rows: Tensor  # [r] int64, ascending: the table's rows that take part
    edits: Tensor  # [e] int64, ascending: the edits that do
    edit_of_row: Tensor  # [r] int64: which of `edits` each row belongs to

    def losses(self, values: Tensor) -> Tensor:
        """[e] of `values` [r, d], differentiable. Edits do not see each other."""
        ...


def descend(
    table: Tensor,
    edits: set[int],
    trial_of: Callable[[set[int]], Trial],
    *,
    learning_rate: float,
    steps: int,
    stop_loss: float,
    project: Callable[[Tensor, Tensor], Tensor] = lambda values, _rows: values,
) -> None:
    """Optimises in place the rows of `table` [v, d] that belong to `edits`, by Adam.

    An edit whose loss falls under `stop_loss` (nats; 0: never) stays as it is from then on, and
    leaves the batch. `project` is applied to the moved rows (values [r, d], their numbers [r])
    after every step.
    """
    adam = Adam(table, learning_rate)
    active = torch.tensor(sorted(edits), device=table.device)
    trial: Trial | None = None
    for _ in range(steps):
        # The batch is packed anew when half of it has gone.
        if trial is None or 2 * len(active) <= len(trial.edits):
            trial = trial_of(set(active.tolist()))
        values = table[trial.rows].requires_grad_()
        losses = trial.losses(values)
        going = torch.isin(trial.edits, active) & (losses.detach() >= stop_loss)
        if not bool(going.any()):
            break
        active = trial.edits[going]
        moving = going[trial.edit_of_row]
        (gradient,) = torch.autograd.grad(losses.sum(), values)
        rows = trial.rows[moving]
        adam.step(rows, gradient[moving])
        table[rows] = project(table[rows], rows)
