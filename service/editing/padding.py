"""Padded batches: texts of any length through one forward pass, each as if it were alone.

Texts that are run once have their padding on the right, where no token sees it; texts that grow
have it on the left, so that what is added follows on. Positions are counted without it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns token ids [b, t] and which of them are real [b, t]."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(width, device=device) < lengths[:, None]


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """The same with the padding in front."""
    ids, present = pad([row[::-1] for row in rows], device)
    return ids.flip(1), present.flip(1)
