"""Second moments of keys, added up text by text: C_0 = E[k k^T], uncentred (Meng et al. 2022).

FastMEMIT (Gupta et al. 2025, "Efficient Knowledge Editing via Minimal Precomputation") showed that
ten times as many keys as the key is wide are enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.key_statistics import KeyStatistics
from service.editing.requests import SubjectText
from service.editing.subject_states import token_inputs

KEPT_KEYS = 1_024  # of each layer, for the calibrated gate


@dataclass
class Accumulation:
    """What some texts have added up to so far, for each of some layers."""

    sums: dict[int, Tensor]  # [d_in, d_in] float64
    kept: dict[int, Tensor]  # [s, d_in] float32: the first keys
    vectors: int = 0
    texts: int = 0  # how many were added

    @classmethod
    def empty(cls, layers: Sequence[int]) -> "Accumulation":
        return cls({number: torch.empty(0) for number in layers}, {})

    def add(self, model: PreTrainedModel, texts: Sequence[Sequence[int]]) -> None:
        """Adds the keys at all tokens of `texts` (token ids)."""
        rows = [SubjectText(tuple(text), 0) for text in texts]
        numbers = list(self.sums)
        found = token_inputs(model, rows, [down_projection_of(model, n) for n in numbers])
        for number, tokens in zip(numbers, found, strict=True):
            keys = tokens.inputs[tokens.present]  # [k, d_in]
            product = keys.double().T @ keys.double()
            total = self.sums[number]
            self.sums[number] = product if not total.numel() else total.to(product).add_(product)
            kept = self.kept.get(number, keys[:0].cpu())
            self.kept[number] = torch.cat([kept, keys[: KEPT_KEYS - len(kept)].cpu()])
        self.vectors += sum(map(len, texts))
        self.texts += len(texts)

    def statistics(self, source: str) -> dict[int, KeyStatistics]:
        return {
            number: KeyStatistics(
                source, (total / self.vectors).float().cpu(), self.kept[number], self.vectors
            )
            for number, total in self.sums.items()
        }
