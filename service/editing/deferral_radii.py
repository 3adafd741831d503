"""How far a codebook's keys reach on a model that nobody has tuned GRACE for.

A key's deferral radius (epsilon of Hartvigsen et al. 2023) is a distance between states, whose size
differs from model to model and from layer to layer, and is another one in a chat template than in
plain text. It is read off from questions about different things: few of them lie as near to any
other one as the radius.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from service.domain.edits import Format
from service.editing.entity.stock import Question
from service.editing.nearest import distances

# Of the questions, the share that has one about something else within the radius. Chosen on records
# that no reported figure is made on.
FALSE_HITS = 0.01


@dataclass(frozen=True)
class DeferralRadii:
    """The radii of one site, in the units of its module's input."""

    plain: float
    chat: float | None = None  # None: the model has no chat template

    def of(self, form: Format) -> float:
        """Raises `ValueError` for a form that the model does not have."""
        radius = self.plain if form is Format.PLAIN else self.chat
        if radius is None:
            raise ValueError("a model without a chat template has no radius for chats")
        return radius

    def numbers(self) -> dict[str, float | None]:
        return asdict(self)


def measured(questions: Sequence[Question], keys: Tensor) -> float:
    """The radius for keys like `keys` [n, d] float32, at the ends of `questions`."""
    asked = torch.tensor([(q.subject, q.relation) for q in questions])
    same = (asked[:, None] == asked).all(dim=-1)
    apart = distances(keys, keys).masked_fill_(same, torch.inf)
    return float(apart.amin(dim=1).quantile(FALSE_HITS))
