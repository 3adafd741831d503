"""Gates: which tokens get a changed weight's output.

A z-score gate compares the norm of what the change would add at a token with a mean and a
deviation: of the token's own sequence (Li et al. 2024), or of unrelated text.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

SAME = 1e-5  # a deviation under this share of the mean is rounding


class Gate(StrEnum):
    ALWAYS = "always"  # all
    SEQUENCE = "sequence"  # those whose z-score among their own text's tokens reaches alpha
    CALIBRATED = "calibrated"  # those whose z-score against unrelated text reaches alpha


@dataclass(frozen=True)
class Sums:
    """Of the norms at each text's tokens up to one of them; [b, t] or [b, 1], float64."""

    count: Tensor
    total: Tensor
    squares: Tensor

    def at(self, columns: Tensor) -> "Sums":
        """Those up to other tokens: `columns` [b, t]."""
        return Sums(*(sums.gather(1, columns) for sums in (self.count, self.total, self.squares)))


@dataclass(frozen=True)
class Tokens:
    """The tokens of one forward pass.

    A text's prompt is decided as a whole, and each token after it as the last one of the text so
    far: so a token's score does not depend on how many passes the text was cut into.
    """

    present: Tensor  # [b, t] bool: padding is False
    queries: Tensor  # [b, t] bool: whose next token is wanted, from each prompt's last on
    # What earlier passes of the same texts summed up, by layer. Written by every pass.
    sums: dict[int, Sums]

    @classmethod
    def whole(cls, present: Tensor) -> "Tokens":
        """Texts that are prompts to their ends."""
        return cls(present, torch.zeros_like(present), {})


def z_scores(norms: Tensor, tokens: Tokens, layer: int) -> Tensor:
    """[b, t]: each token's z-score among the present tokens of its own text, by the unbiased
    deviation. A text of one token has none, nor has one whose norms are all the same: NaN, which
    reaches no alpha.
    """
    values = norms.double() * tokens.present
    columns = torch.arange(values.shape[1], device=values.device)
    sums = Sums(
        tokens.present.double().cumsum(dim=1), values.cumsum(dim=1), (values**2).cumsum(dim=1)
    )
    earlier = tokens.sums.get(layer)
    if earlier is not None:
        sums = Sums(
            sums.count + earlier.count, sums.total + earlier.total, sums.squares + earlier.squares
        )
    last = columns[-1].expand(len(values), 1)
    tokens.sums[layer] = sums.at(last)
    if earlier is None:
        # No query: the prompt goes on to the end.
        first = torch.where(
            tokens.queries.any(dim=1, keepdim=True),
            tokens.queries.int().argmax(dim=1, keepdim=True),
            last,
        )
        sums = sums.at(torch.maximum(columns, first))
    mean = sums.total / sums.count
    variance = (sums.squares / sums.count - mean**2).clamp(min=0.0)
    deviation = (variance * sums.count / (sums.count - 1)).sqrt()
    scores = (values - mean) / deviation
    return scores.masked_fill(deviation < SAME * mean, torch.nan)
