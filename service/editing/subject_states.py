"""What modules take and return at subjects' tokens: the keys and states of locate-and-edit."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.logits import hidden_states
from service.editing.padding import pad
from service.editing.prefixes import Pin, no_overlay
from service.editing.requests import SubjectText
from service.editing.splitting import Splitting
from service.editing.taps import After, after, hidden_of, per_text

R = TypeVar("R")


@dataclass(frozen=True)
class States:
    """At the subject of each of n texts, float32."""

    inputs: Tensor  # [n, d_in]: averaged over the places where the text names it
    outputs: Tensor  # [n, d_out]: at the last of them


@dataclass(frozen=True)
class TokenInputs:
    """At every token of some texts, float32."""

    inputs: Tensor  # [n, t, d_in]
    present: Tensor  # [n, t] bool: padding is False


@torch.no_grad()
def subject_states(
    model: PreTrainedModel,
    texts: Sequence[SubjectText],
    modules: Sequence[nn.Module],
    splitting: Splitting,
    pin: Pin = no_overlay,
) -> list[States]:
    """Forward passes over all `texts`; returns the states of each of `modules`."""

    def read(part: list[int]) -> list[tuple[Tensor, Tensor]]:
        some = [texts[i] for i in part]
        rows = torch.arange(len(some), device=model.device)
        at = torch.tensor([text.subject for text in some], device=model.device)

        def take(inputs: Tensor, outputs: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            means = inputs[rows, at].float()
            for row, text in enumerate(some):
                if text.earlier:
                    means[row] = inputs[row, list(text.subjects)].float().mean(dim=0)
            return means, outputs[rows, at].float()

        return _pass(model, some, modules, pin, take)

    parts = splitting.over([len(text.tokens) for text in texts], read)
    return [
        States(*(torch.cat([part[module][side] for part in parts]) for side in (0, 1)))
        for module in range(len(modules))
    ]


@torch.no_grad()
def token_inputs(
    model: PreTrainedModel, texts: Sequence[SubjectText], modules: Sequence[nn.Module]
) -> list[TokenInputs]:
    """One forward pass of the base model; what each of `modules` takes."""
    return _pass(
        model,
        texts,
        modules,
        no_overlay,
        lambda inputs, _, present: TokenInputs(inputs.float(), present),
    )


def _pass(
    model: PreTrainedModel,
    texts: Sequence[SubjectText],
    modules: Sequence[nn.Module],
    pin: Pin,
    take: Callable[[Tensor, Tensor, Tensor], R],
) -> list[R]:
    """One forward pass; what `take` makes of each module's inputs and outputs, and of which tokens
    are real.
    """
    ids, present = pad([text.tokens for text in texts], model.device)
    taken: dict[nn.Module, R] = {}

    def reader(module: nn.Module) -> After:
        def read(args: tuple[Tensor, ...], output: Any) -> None:
            inputs, outputs = per_text(args[0], present), per_text(hidden_of(output), present)
            taken[module] = take(inputs, outputs, present)
            if len(taken) == len(set(modules)):
                raise _Enough

        return read

    # The pin comes first: what is read is what the overlay made of it.
    with (
        pin(present),
        after({module: reader(module) for module in modules}),
        contextlib.suppress(_Enough),
    ):
        hidden_states(model, input_ids=ids, attention_mask=present.long(), use_cache=False)
    return [taken[module] for module in modules]


class _Enough(Exception):  # noqa: N818  # nothing is wrong
    """Every module was read: the layers above need not run."""
