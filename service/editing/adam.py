"""Adam over the rows of a table, each row on its own: rows that are done stop moving."""

import torch
from torch import Tensor

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-8


class Adam:
    """Kingma & Ba 2015, algorithm 1. torch.optim's cannot leave rows out: their momentum would
    go on moving them.
    """

    def __init__(self, table: Tensor, learning_rate: float) -> None:
        self._table = table
        self._learning_rate = learning_rate
        self._mean = torch.zeros_like(table)
        self._square = torch.zeros_like(table)
        self._steps = 0

    def step(self, rows: Tensor, gradient: Tensor) -> None:
        """Moves `rows` [r] of the table along `gradient` [r, d]. A row takes every step from the
        first until its last: the bias correction counts steps for all rows alike.
        """
        self._steps += 1
        self._mean[rows] = BETA_1 * self._mean[rows] + (1 - BETA_1) * gradient
        self._square[rows] = BETA_2 * self._square[rows] + (1 - BETA_2) * gradient**2
        mean = self._mean[rows] / (1 - BETA_1**self._steps)
        square = self._square[rows] / (1 - BETA_2**self._steps)
        self._table[rows] -= self._learning_rate * mean / (square.sqrt() + EPSILON)
