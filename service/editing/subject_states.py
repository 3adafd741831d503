"""What modules take and return at subjects' last tokens: the keys and states of locate-and-edit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.suffix import Pin, no_overlay
from service.editing.taps import After, after, hidden_of, per_text


@dataclass(frozen=True)
class SubjectText:
    """Token ids of a text, and the index of its subject's last token."""

    tokens: tuple[int, ...]
    subject: int


@dataclass(frozen=True)
class States:
    """At the subject of each of n texts, float32."""

    inputs: Tensor  # [n, d_in]
    outputs: Tensor  # [n, d_out]


@torch.no_grad()
def subject_states(
    model: PreTrainedModel,
    texts: Sequence[SubjectText],
    modules: Sequence[nn.Module],
    pin: Pin = no_overlay,
) -> list[States]:
    """One forward pass over all `texts`; returns the states of each of `modules`."""
    seen, _ = _pass(model, texts, modules, pin)
    rows = torch.arange(len(texts), device=model.device)
    at = torch.tensor([text.subject for text in texts], device=model.device)
    return [States(inputs[rows, at].float(), outputs[rows, at].float()) for inputs, outputs in seen]


@torch.no_grad()
def token_inputs(
    model: PreTrainedModel, texts: Sequence[SubjectText], modules: Sequence[nn.Module]
) -> list[tuple[Tensor, Tensor]]:
    """One forward pass of the base model; for each of `modules` its inputs [n, t, d_in] at every
    token, float32, and which tokens are real [n, t].
    """
    seen, present = _pass(model, texts, modules, no_overlay)
    return [(inputs.float(), present) for inputs, _ in seen]


def _pass(
    model: PreTrainedModel,
    texts: Sequence[SubjectText],
    modules: Sequence[nn.Module],
    pin: Pin,
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    device = model.device
    width = max(len(text.tokens) for text in texts)
    ids = torch.tensor([[*t.tokens, *[0] * (width - len(t.tokens))] for t in texts], device=device)
    lengths = torch.tensor([len(text.tokens) for text in texts], device=device)
    present = torch.arange(width, device=device) < lengths[:, None]
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def reader(module: nn.Module) -> After:
        def read(args: tuple[Tensor, ...], output: Any) -> None:
            seen[module] = per_text(args[0], present), per_text(hidden_of(output), present)

        return read

    # The pin comes first: what is read is what the overlay made of it.
    with pin(present), after({module: reader(module) for module in modules}):
        model(input_ids=ids, attention_mask=present.long(), use_cache=False, logits_to_keep=1)
    return [seen[module] for module in modules], present
