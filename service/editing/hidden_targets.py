"""Target hidden states: what a layer must return at a subject's last token for a fact to hold.

Meng et al. 2023, "Mass-Editing Memory in a Transformer" (MEMIT), section 4.2; for one layer, whose
MLP alone is to bring the change about, it is ROME's v* (Meng et al. 2022, equation 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.descent import Losses, descend
from service.editing.locate_hyperparameters import TargetHyperparameters
from service.editing.prefixes import Pin, Text, no_overlay
from service.editing.requests import FactRequest, SubjectText
from service.editing.splitting import Splitting
from service.editing.suffix import SuffixRun

UNUSED = 0  # the "target" of a text whose logits are wanted, not its loss


@dataclass(frozen=True)
class Mlp:
    """An MLP's projection whose output is shifted, where it is normed before it is added."""

    projection: nn.Module
    norm: nn.Module


def optimise_shift(
    model: PreTrainedModel,
    layer: int,
    requests: Sequence[FactRequest],
    lengths: Tensor,
    parameters: TargetHyperparameters,
    splitting: Splitting,
    pin: Pin = no_overlay,
    mlp: Mlp | None = None,
) -> Tensor:
    """Optimises, for all requests together, what is added to the output of layer `layer` at the
    subject's token, the same in all contexts; returns it, [n, d] float32. With `mlp`, it is added
    to that projection's output, and the norm behind it makes of it what the layer returns.

    The objective, per request: the mean over contexts of the target's mean NLL, `kl_factor` times
    the KL divergence of the next token after the essence's subject, and `weight_decay` times
    |shift| / length^2; |shift| is at most `clamp_norm_factor` times length. `lengths` [n] are the
    norms of the states that the shift is counted against.
    """
    width = int(model.config.hidden_size)
    shifts: Tensor = torch.zeros(len(requests), width, device=lengths.device)

    def trial_of(numbers: list[int]) -> _ShiftTrial:
        contexts = [
            (number, context)
            for number in numbers
            for group in requests[number].contexts
            for context in group
        ]
        texts = [
            Text(number, context.tokens, requests[number].target, context.subjects[0])
            for number, context in contexts
        ]
        essences = [_essence(number, requests[number]) for number in numbers]
        watch = None if mlp is None else mlp.projection
        # Apart from each other: an essence ends at its subject, and would be padding for the most.
        return _ShiftTrial(
            SuffixRun.of(model, texts, layer + 1, pin, watch),
            SuffixRun.of(model, essences, layer + 1, pin, watch),
            torch.tensor([text.edit for text in texts], device=lengths.device),
            _shifted([context for _, context in contexts], lengths.device),
            lengths,
            parameters,
            None if mlp is None else mlp.norm,
        )

    def clamp(values: Tensor, rows: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(values, dim=1)
        most = parameters.clamp_norm_factor * lengths[rows]
        clamped: Tensor = values * (most / norms).clamp(max=1.0)[:, None]
        return clamped

    # Edits with suffixes of like lengths go together, so that little is padding.
    sizes = [_tokens_of(request) for request in requests]
    order = sorted(range(len(requests)), key=sizes.__getitem__)

    def optimise(places: list[int]) -> None:
        part = [order[place] for place in places]
        shifts[part] = 0.0  # an attempt that ran out of memory may have moved them
        descend(
            shifts,
            trial_of(sorted(part)),
            learning_rate=parameters.learning_rate,
            steps=parameters.steps - 1,  # the last evaluation is followed by no step
            stop_loss=parameters.stop_loss,
            project=clamp,
        )

    splitting.over([sizes[number] for number in order], optimise)
    return shifts


def _tokens_of(request: FactRequest) -> int:
    """How many tokens a step runs for it."""
    texts = [text for group in request.contexts for text in group]
    longest = max(len(text.tokens) - text.subjects[0] for text in texts) + len(request.target)
    return longest * len(texts) + 1  # and the essence's one


def _essence(number: int, request: FactRequest) -> Text:
    """The essence up to its subject, after which the next token is wanted."""
    subject = request.essence.subject
    return Text(number, request.essence.tokens[: subject + 1], (UNUSED,), subject)


def _shifted(texts: Sequence[SubjectText], device: torch.device) -> Tensor:
    """[b, w] bool: at which tokens of their suffixes the texts name their subjects."""
    width = max(text.subject - text.subjects[0] for text in texts) + 1
    columns = torch.zeros(len(texts), width, dtype=torch.bool, device=device)
    for row, text in zip(columns, texts, strict=True):
        row[[place - text.subjects[0] for place in text.subjects]] = True
    return columns


def _narrowed(shifted: Tensor) -> Tensor:
    """Leaves out the columns in which no token is shifted any more."""
    return shifted[:, : int(shifted.any(dim=0).nonzero().max()) + 1]


class _ShiftTrial:
    """The contexts and the essences of some requests, and the objective on them."""

    def __init__(
        self,
        contexts: SuffixRun,
        essences: SuffixRun,
        edit_of_context: Tensor,
        shifted: Tensor,
        lengths: Tensor,
        parameters: TargetHyperparameters,
        norm: nn.Module | None,
    ) -> None:
        """`edit_of_context` [b] ascending; `shifted` [b, w] bool: the first tokens of the contexts'
        suffixes that are shifted; `lengths` are those of all requests.
        """
        self._contexts = contexts
        self._essences = essences
        self._edit_of_context = edit_of_context
        self._shifted = shifted
        self._lengths = lengths
        self._parameters = parameters
        self._norm = norm
        self.units, self._owner, self._counts = torch.unique_consecutive(
            edit_of_context, return_inverse=True, return_counts=True
        )
        self.rows = self.units
        self.unit_of_row = torch.arange(len(self.units), device=lengths.device)
        with torch.no_grad():
            self._before = essences.logits().log_softmax(dim=1)

    def part(self, units: Tensor) -> "_ShiftTrial":
        kept = torch.isin(self._edit_of_context, units)
        return _ShiftTrial(
            self._contexts.part(kept),
            self._essences.part(torch.isin(self.units, units)),
            self._edit_of_context[kept],
            _narrowed(self._shifted[kept]),
            self._lengths,
            self._parameters,
            self._norm,
        )

    def losses(self, values: Tensor) -> Losses:
        """Returns the losses with the shifts `values` [e, d]."""
        shifts = self._shift_of(values[self._owner], self._contexts, self._shifted)
        by_text = self._contexts.losses(self._contexts.by_token(self._contexts.logits(shifts)))
        lengths = self._lengths[self.units]
        sums = torch.zeros_like(lengths).index_add(0, self._owner, by_text)
        # An essence ends at its subject: that is the one token of its suffix.
        first = torch.ones_like(self.units, dtype=torch.bool)[:, None]
        shift = self._shift_of(values, self._essences, first)
        now = self._essences.logits(shift).log_softmax(dim=1)
        divergence = (now.exp() * (now - self._before)).sum(dim=1)
        norms = torch.linalg.vector_norm(values, dim=1)
        loss: Tensor = (
            sums / self._counts
            + self._parameters.kl_factor * divergence
            + self._parameters.weight_decay * norms / lengths**2
        )
        return Losses(loss, loss.detach())

    def _shift_of(self, values: Tensor, run: SuffixRun, shifted: Tensor) -> Tensor:
        """[b, w, d]: what shifts [b, d] add to what the layer returns at the tokens of `run` that
        are `shifted` [b, w].
        """
        by_token = values[:, None] * shifted[:, :, None]
        if self._norm is None:
            return by_token
        own = run.watched[1][:, : shifted.shape[1]]
        shift: Tensor = self._norm(own + by_token.to(own.dtype)) - self._norm(own)
        return shift.to(own.device)
