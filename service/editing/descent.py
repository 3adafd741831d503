"""The loop that optimises the vectors of a whole batch at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from service.editing.adam import Adam

# The batch is packed anew when only so much of it is left: that costs less than a step.
LEFT = 3 / 4


@dataclass(frozen=True)
class Losses:
    """How well each unit of a trial does, in nats."""

    minimised: Tensor  # [u], differentiable
    reached: Tensor  # [u]: what is held against the loss under which a unit is done


class Trial(Protocol):
    """One packed batch: tries rows of the table and says how well they do."""

    rows: Tensor  # [r] int64, ascending: the table's rows that take part
    units: Tensor  # [u] int64, ascending: what is optimised by itself, and is done by itself
    unit_of_row: Tensor  # [r] int64: which of `units` each row belongs to

    def losses(self, values: Tensor) -> "Losses":
        """Returns the losses with `values` [r, d]. Units do not see each other."""
        ...

    def part(self, units: Tensor) -> "Trial":
        """Leaves out all units but these, by their numbers, ascending."""
        ...


def descend(
    table: Tensor,
    trial: Trial,
    *,
    learning_rate: float,
    steps: int,
    stop_loss: float,
    project: Callable[[Tensor, Tensor], Tensor] = lambda values, _rows: values,
) -> None:
    """Optimises in place the rows of `table` [v, d] that belong to the trial's units, by Adam.

    A unit whose loss falls under `stop_loss` (nats; 0: never) stays as it is from then on, and
    leaves the batch. `project` is applied to the moved rows (values [r, d], their numbers [r])
    after every step.
    """
    adam = Adam(table, learning_rate)
    active = trial.units
    for _ in range(steps):
        if len(active) <= LEFT * len(trial.units):
            trial = trial.part(active)
        values = table[trial.rows].requires_grad_()
        losses = trial.losses(values)
        going = torch.isin(trial.units, active) & (losses.reached >= stop_loss)
        if not bool(going.any()):
            break
        active = trial.units[going]
        moving = going[trial.unit_of_row]
        (gradient,) = torch.autograd.grad(losses.minimised.sum(), values)
        rows = trial.rows[moving]
        adam.step(rows, gradient[moving])
        table[rows] = project(table[rows], rows)
