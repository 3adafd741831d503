"""Target hidden states: what a layer must return at a subject's last token for a fact to hold.

Meng et al. 2023, "Mass-Editing Memory in a Transformer" (MEMIT), section 4.2 and appendix C; the
same objective at an MLP's output is ROME's v* (Meng et al. 2022, equation 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.descent import descend
from service.editing.suffix import Pin, SuffixRun, Text, capture, no_overlay
from service.editing.taps import after, hidden_of, with_hidden

UNUSED = 0  # the "target" of a text whose logits are wanted, not its loss


@dataclass(frozen=True)
class TargetHyperparameters:
    steps: int = 20  # evaluations of the objective; there is one step less
    learning_rate: float = 0.5
    clamp_norm_factor: float = 0.75  # most of |delta|, in lengths of the initial hidden state
    kl_factor: float = 0.0625
    weight_decay: float = 0.5
    stop_loss: float = 0.05  # nats


@dataclass(frozen=True)
class SubjectText:
    """Token ids up to a target, and the index of the subject's last token among them."""

    tokens: tuple[int, ...]
    subject: int


@dataclass(frozen=True)
class FactRequest:
    """One edit in tokens."""

    edit_id: int
    plain: SubjectText  # the prompt itself
    contexts: tuple[SubjectText, ...]  # the prompt in every context template, itself included
    essence: SubjectText  # "{subject} is a": what the subject is shall not drift
    target: tuple[int, ...]


@dataclass(frozen=True)
class HiddenTargets:
    initial: Tensor  # [n, d] float32: the module's output at the subject in the plain prompt
    targets: Tensor  # [n, d] float32: what it shall be


def optimise_hidden(
    model: PreTrainedModel,
    layer: int,
    module: nn.Module,
    requests: Sequence[FactRequest],
    parameters: TargetHyperparameters,
    pin: Pin = no_overlay,
) -> HiddenTargets:
    """Optimises, for all requests at once, what is added to the output of `module` in layer `layer`
    at the subject's last token, the same in all contexts. The objective, per request: the mean over
    contexts of the target's mean NLL, `kl_factor` times the KL divergence of the next token after
    the essence's subject, and `weight_decay` times |delta| / |initial|^2.
    """
    plain = [Text(i, r.plain.tokens, (UNUSED,), r.plain.subject) for i, r in enumerate(requests)]
    _, output = capture(module, SuffixRun(model, plain, layer, pin).hidden)
    initial = output[:, 0].float()
    lengths = torch.linalg.vector_norm(initial, dim=1)
    delta = torch.zeros_like(initial)

    def trial_of(active: set[int]) -> _DeltaTrial:
        rows = sorted(active)
        return _DeltaTrial(
            model, layer, module, [(i, requests[i]) for i in rows], lengths[rows], parameters, pin
        )

    def clamp(values: Tensor, rows: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(values, dim=1)
        most = parameters.clamp_norm_factor * lengths[rows]
        return values * (most / norms).clamp(max=1.0)[:, None]

    descend(
        delta,
        set(range(len(requests))),
        trial_of,
        learning_rate=parameters.learning_rate,
        steps=parameters.steps - 1,  # the last evaluation is followed by no step
        stop_loss=parameters.stop_loss,
        project=clamp,
    )
    return HiddenTargets(initial, initial + delta)


class _DeltaTrial:
    """The contexts and the essence of some requests, and the objective on them."""

    def __init__(
        self,
        model: PreTrainedModel,
        layer: int,
        module: nn.Module,
        numbered: Sequence[tuple[int, FactRequest]],
        lengths: Tensor,
        parameters: TargetHyperparameters,
        pin: Pin,
    ) -> None:
        texts, owner, essences = [], [], []
        for local, (number, request) in enumerate(numbered):
            for context in request.contexts:
                texts.append(Text(number, context.tokens, request.target, context.subject))
                owner.append(local)
                essences.append(False)
            end = request.essence.subject
            texts.append(Text(number, request.essence.tokens[: end + 1], (UNUSED,), end))
            owner.append(local)
            essences.append(True)
        self._run = SuffixRun(model, texts, layer, pin)
        self._module = module
        self._parameters = parameters
        self._lengths = lengths
        device = lengths.device
        self.rows = self.edits = torch.tensor([number for number, _ in numbered], device=device)
        self.edit_of_row = torch.arange(len(numbered), device=device)
        self._owner = torch.tensor(owner, device=device)  # [b]: of each text
        self._essence = torch.tensor(essences, device=device)  # [b]
        self._essence_rows = self._essence[self._run.text_of_row]  # [r]
        self._contexts = torch.bincount(self._owner[~self._essence])
        with torch.no_grad():
            self._before = self._run.logits()[self._essence_rows].log_softmax(dim=1)

    def losses(self, values: Tensor) -> Tensor:
        logits = self._logits(values)
        nll = self._run.losses(logits)[~self._essence]
        sums = torch.zeros(len(self.rows), device=nll.device)
        nll = sums.index_add(0, self._owner[~self._essence], nll) / self._contexts
        now = logits[self._essence_rows].log_softmax(dim=1)
        divergence = (now.exp() * (now - self._before)).sum(dim=1)
        norms = torch.linalg.vector_norm(values, dim=1)
        return (
            nll
            + self._parameters.kl_factor * divergence
            + self._parameters.weight_decay * norms / self._lengths**2
        )

    def _logits(self, values: Tensor) -> Tensor:
        """With `values` added at each suffix's first token, its subject's last."""

        def add(_args: object, output: Any) -> Any:
            hidden = hidden_of(output).clone()
            hidden[:, 0] += values[self._owner].to(hidden.dtype)
            return with_hidden(output, hidden)

        with after({self._module: add}):
            return self._run.logits()
