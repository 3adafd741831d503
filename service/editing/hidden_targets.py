"""Target hidden states: what a layer must return at a subject's last token for a fact to hold.

Meng et al. 2023, "Mass-Editing Memory in a Transformer" (MEMIT), section 4.2; for one layer, whose
MLP alone is to bring the change about, it is ROME's v* (Meng et al. 2022, equation 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.descent import descend
from service.editing.locate_hyperparameters import TargetHyperparameters
from service.editing.requests import FactRequest
from service.editing.splitting import Splitting
from service.editing.suffix import Pin, SuffixRun, Text, no_overlay

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

    def trial_of(active: set[int]) -> _ShiftTrial:
        return _ShiftTrial(model, layer, requests, sorted(active), lengths, parameters, pin, mlp)

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
            set(part),
            trial_of,
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
    longest = max(len(text.tokens) - text.subject for text in texts) + len(request.target)
    return longest * len(texts) + 1  # and the essence's one


class _ShiftTrial:
    """The contexts and the essences of some requests, and the objective on them."""

    def __init__(
        self,
        model: PreTrainedModel,
        layer: int,
        requests: Sequence[FactRequest],
        numbers: list[int],
        lengths: Tensor,
        parameters: TargetHyperparameters,
        pin: Pin,
        mlp: Mlp | None,
    ) -> None:
        texts: list[Text] = []
        essences: list[Text] = []
        for number in numbers:
            request = requests[number]
            contexts = [context for group in request.contexts for context in group]
            texts += [Text(number, c.tokens, request.target, c.subject) for c in contexts]
            subject = request.essence.subject
            tokens = request.essence.tokens[: subject + 1]
            essences.append(Text(number, tokens, (UNUSED,), subject))
        watch = None if mlp is None else mlp.projection
        # Apart from each other: an essence ends at its subject, and would be padding for the most.
        self._contexts = SuffixRun(model, texts, layer + 1, pin, watch)
        self._essences = SuffixRun(model, essences, layer + 1, pin, watch)
        self._mlp = mlp
        self._parameters = parameters
        device = lengths.device
        self.rows = self.edits = torch.tensor(numbers, device=device)
        self.edit_of_row = torch.arange(len(numbers), device=device)
        self._lengths = lengths[self.rows]
        owners = torch.tensor([text.edit for text in texts], device=device)
        self._owner = torch.searchsorted(self.rows, owners)  # [b]: which edit each context is of
        self._counts = torch.bincount(self._owner)
        with torch.no_grad():
            self._before = self._essences.logits().log_softmax(dim=1)

    def losses(self, values: Tensor) -> Tensor:
        """[e] of shifts [e, d]."""
        shifts = self._shift_of(values[self._owner], self._contexts)
        by_text = self._contexts.losses(self._contexts.logits(shifts))
        sums = torch.zeros_like(self._lengths).index_add(0, self._owner, by_text)
        now = self._essences.logits(self._shift_of(values, self._essences)).log_softmax(dim=1)
        divergence = (now.exp() * (now - self._before)).sum(dim=1)
        norms = torch.linalg.vector_norm(values, dim=1)
        loss: Tensor = (
            sums / self._counts
            + self._parameters.kl_factor * divergence
            + self._parameters.weight_decay * norms / self._lengths**2
        )
        return loss

    def _shift_of(self, values: Tensor, run: SuffixRun) -> Tensor:
        """[b, 1, d]: what shifts [b, d] add to what the layer returns at the subjects of `run`."""
        if self._mlp is None:
            return values[:, None]
        own = run.watched[1][:, 0]
        norm = self._mlp.norm
        shift: Tensor = norm(own + values.to(own.dtype)) - norm(own)
        return shift[:, None].to(own.device)
