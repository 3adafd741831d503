"""What is known of the keys of one layer's down-projection on text that no edit is about."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, eq=False)
class KeyStatistics:
    source: str  # what text they are of
    second_moment: Tensor  # C_0 = E[k k^T], uncentred, [d_in, d_in] float32
    keys: Tensor  # a sample, [s, d_in] float32: what the calibrated gate is measured on
    vectors: int  # how many keys the second moment is of

    @cached_property
    def digest(self) -> str:
        hasher = hashlib.sha256(f"{self.source} {self.vectors}".encode())
        for tensor in (self.second_moment, self.keys):
            hasher.update(tensor.contiguous().numpy().tobytes())
        return hasher.hexdigest()
