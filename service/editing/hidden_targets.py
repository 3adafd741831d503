"""Target hidden states: what a layer must return at a subject's last token for a fact to hold.

Meng et al. 2023, "Mass-Editing Memory in a Transformer" (MEMIT), section 4.2; for one layer, whose
MLP alone is to bring the change about, it is ROME's v* (Meng et al. 2022, equation 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.descent import descend
from service.editing.subject_states import SubjectText
from service.editing.suffix import Pin, SuffixRun, Text, no_overlay

UNUSED = 0  # the "target" of a text whose logits are wanted, not its loss


@dataclass(frozen=True)
class TargetHyperparameters:
    steps: int = 20  # evaluations of the objective; there is one step less
    learning_rate: float = 0.5
    clamp_norm_factor: float = 0.75  # most of |delta|, in lengths of the initial state
    kl_factor: float = 0.0625
    weight_decay: float = 0.5
    stop_loss: float = 0.05  # nats


@dataclass(frozen=True)
class FactRequest:
    """One edit in tokens."""

    edit_id: int
    plain: SubjectText  # the prompt itself
    contexts: tuple[tuple[SubjectText, ...], ...]  # the prompt in the context templates, by group
    essence: SubjectText  # "{subject} is a": what the subject is shall not drift
    target: tuple[int, ...]


def optimise_shift(
    model: PreTrainedModel,
    layer: int,
    requests: Sequence[FactRequest],
    lengths: Tensor,
    parameters: TargetHyperparameters,
    pin: Pin = no_overlay,
) -> Tensor:
    """Optimises, for all requests at once, what is added to the output of layer `layer` at the
    subject's last token, the same in all contexts; returns it, [n, d] float32.

    The objective, per request: the mean over contexts of the target's mean NLL, `kl_factor` times
    the KL divergence of the next token after the essence's subject, and `weight_decay` times
    |shift| / length^2; |shift| is at most `clamp_norm_factor` times length. `lengths` [n] are the
    norms of the states that the shift is counted against.
    """
    width = int(model.config.hidden_size)
    shifts: Tensor = torch.zeros(len(requests), width, device=lengths.device)

    def trial_of(active: set[int]) -> _ShiftTrial:
        return _ShiftTrial(model, layer, requests, sorted(active), lengths, parameters, pin)

    def clamp(values: Tensor, rows: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(values, dim=1)
        most = parameters.clamp_norm_factor * lengths[rows]
        clamped: Tensor = values * (most / norms).clamp(max=1.0)[:, None]
        return clamped

    descend(
        shifts,
        set(range(len(requests))),
        trial_of,
        learning_rate=parameters.learning_rate,
        steps=parameters.steps - 1,  # the last evaluation is followed by no step
        stop_loss=parameters.stop_loss,
        project=clamp,
    )
    return shifts


class _ShiftTrial:
    """The contexts and the essence of some requests, and the objective on them."""

    def __init__(
        self,
        model: PreTrainedModel,
        layer: int,
        requests: Sequence[FactRequest],
        numbers: list[int],
        lengths: Tensor,
        parameters: TargetHyperparameters,
        pin: Pin,
    ) -> None:
        texts: list[Text] = []
        for number in numbers:
            request = requests[number]
            contexts = [context for group in request.contexts for context in group]
            texts += [Text(number, c.tokens, request.target, c.subject) for c in contexts]
        told = len(texts)
        for number in numbers:
            essence = requests[number].essence
            tokens = essence.tokens[: essence.subject + 1]
            texts.append(Text(number, tokens, (UNUSED,), essence.subject))
        device = lengths.device
        self._run = SuffixRun(model, texts, layer + 1, pin)
        self._parameters = parameters
        self.rows = self.edits = torch.tensor(numbers, device=device)
        self.edit_of_row = torch.arange(len(numbers), device=device)
        self._lengths = lengths[self.rows]
        # The texts that tell the fact come first, then one essence per request, in order.
        self._told = told
        owners = torch.tensor([text.edit for text in texts], device=device)
        self._owner = torch.searchsorted(self.rows, owners)  # [b]
        self._contexts = torch.bincount(self._owner[:told])
        self._essence_rows = self._run.text_of_row >= told  # [r]
        with torch.no_grad():
            self._before = self._run.logits()[self._essence_rows].log_softmax(dim=1)

    def losses(self, values: Tensor) -> Tensor:
        """[e] of shifts [e, d]."""
        logits = self._run.logits(values[self._owner, None])
        by_text = self._run.losses(logits)[: self._told]
        sums = torch.zeros_like(self._lengths).index_add(0, self._owner[: self._told], by_text)
        now = logits[self._essence_rows].log_softmax(dim=1)
        divergence = (now.exp() * (now - self._before)).sum(dim=1)
        norms = torch.linalg.vector_norm(values, dim=1)
        loss: Tensor = (
            sums / self._contexts
            + self._parameters.kl_factor * divergence
            + self._parameters.weight_decay * norms / self._lengths**2
        )
        return loss
