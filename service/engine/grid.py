"""Tokens of a pass, which lie end to end, as texts side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from service.editing.taps import After
from service.engine.running import Run

# A module's inputs [n, d_in] and outputs [n, d_out], row by row, to its outputs as they shall be.
Change = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens of one text in a pass."""

    run: Run
    row: int  # of the first of them
    past: int  # how many of the text's tokens earlier passes have seen
    length: int

    @property
    def first_query(self) -> int:
        """The first of these tokens whose next one is wanted; `length` if that comes later."""
        return min(max(len(self.run.wanted.prompt) - 1 - self.past, 0), self.length)


def on_rows(change: Change, home: torch.device) -> After:
    """What a module must do after a pass, to have its rows changed on the device `home`."""

    def function(args: tuple[Any, ...], output: Tensor) -> Tensor:
        inputs = args[0].reshape(-1, args[0].shape[-1]).to(home)
        outputs = output.reshape(-1, output.shape[-1]).to(home)
        return change(inputs, outputs).view_as(output).to(output.device)

    return function


@dataclass(frozen=True)
class Grid:
    """Rows of a pass as texts side by side; padding stands at any row."""

    rows: Tensor  # [b, t] int64
    present: Tensor  # [b, t] bool
    queries: Tensor  # [b, t] bool

    @classmethod
    def of(
        cls, stretches: Sequence[Stretch], firsts: Sequence[int], device: torch.device
    ) -> "Grid":
        """One text a line, given the row of each one's first token."""
        width = max(one.length for one in stretches)
        start, length, first = torch.tensor(
            [
                (row, one.length, one.first_query)
                for row, one in zip(firsts, stretches, strict=True)
            ],
            device=device,
        ).T[:, :, None]
        columns = torch.arange(width, device=device)
        present = columns < length
        return cls(start + columns * present, present, present & (columns >= first))

    @classmethod
    def line(cls, spans: Sequence[range], device: torch.device) -> "Grid":
        """All on one line, for what looks at each token by itself; all count as queries."""
        rows = torch.tensor([[row for span in spans for row in span]], device=device)
        every = torch.ones_like(rows, dtype=torch.bool)
        return cls(rows, every, every)

    def over(self, outputs: Tensor, changed: Tensor) -> Tensor:
        """All rows of a pass [n, d], with these [b, t, d] changed."""
        return outputs.index_put((self.rows[self.present],), changed[self.present])
