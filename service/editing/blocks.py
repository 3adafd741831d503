"""Rows of numbers in blocks that tables share: one with a few rows more or other costs these."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from service.editing.nearest import nearest

BLOCK = 512  # rows; the last block may have fewer


@dataclass(frozen=True, eq=False)
class Block:
    rows: Tensor  # [r, d] float32

    @cached_property
    def squares(self) -> Tensor:
        """[r]: squared lengths of the rows."""
        return self.rows.square().sum(dim=1)


@dataclass(frozen=True, eq=False)
class Table:
    """Immutable, on the CPU."""

    blocks: tuple[Block, ...] = ()

    def __len__(self) -> int:
        return BLOCK * (len(self.blocks) - 1) + len(self.blocks[-1].rows) if self.blocks else 0

    @property
    def width(self) -> int:
        return self.blocks[0].rows.shape[1] if self.blocks else 0

    def rows(self, index: Sequence[int]) -> Tensor:
        """[len(index), d], a copy."""
        at = torch.tensor(index, dtype=torch.int64)
        number = at // BLOCK
        found = torch.empty(len(at), self.width)
        for block in number.unique().tolist():
            here = number == block
            found[here] = self.blocks[block].rows[at[here] % BLOCK]
        return found

    def with_rows(self, rows: Mapping[int, Tensor]) -> "Table":
        """The table with `rows` written over it; those past its end leave no gap."""
        blocks = list(self.blocks)
        changed: defaultdict[int, dict[int, Tensor]] = defaultdict(dict)
        for index, row in sorted(rows.items()):
            changed[index // BLOCK][index % BLOCK] = row
        for number, some in changed.items():
            new = torch.stack(list(some.values()))
            old = blocks[number].rows if number < len(blocks) else new[:0]
            fresh = torch.empty(max(len(old), max(some) + 1), new.shape[1])
            fresh[: len(old)] = old
            fresh[list(some)] = new
            blocks[number : number + 1] = [Block(fresh)]
        return Table(tuple(blocks))

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The row nearest to each of `queries` [q, d], and how far it is: infinitely if there is
        none. Of several at one distance the first.
        """
        row = torch.zeros(len(queries), dtype=torch.int64)
        distance = torch.full((len(queries),), torch.inf)
        for number, block in enumerate(self.blocks):
            order = torch.arange(len(block.rows), dtype=torch.int32)[None]
            found = nearest(queries, block.rows, block.squares, order)
            nearer = found.distance < distance
            row = torch.where(nearer, number * BLOCK + found.row, row)
            distance = torch.where(nearer, found.distance, distance)
        return row, distance
