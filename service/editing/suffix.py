"""Runs the part of a forward pass that an optimisation changes, and only that part.

A vector put into layer L at some token changes nothing before that token and nothing below L. So
the tokens before it are run once and their keys and values kept; the rest of each text, its suffix,
is run once as far as L; and every gradient step then runs the suffix from L to the target tokens'
logits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Cache, DynamicLayer, PreTrainedModel

from service.editing.architectures import architecture_of, layers_of


@dataclass(frozen=True)
class Text:
    """One text to run: prompt and target as token ids, and where its suffix starts."""

    edit: int  # the number of its edit in the batch
    prompt: tuple[int, ...]
    target: tuple[int, ...]
    start: int  # tokens before this one are the prefix

    @property
    def suffix(self) -> tuple[int, ...]:
        """Every token from `start` on but the last, which predicts nothing."""
        return (*self.prompt, *self.target)[self.start : -1]

    @property
    def query(self) -> int:
        """The suffix's column of the prompt's last token."""
        return len(self.prompt) - 1 - self.start


class LendingLayer(DynamicLayer):
    """A layer of a KV cache that, once closed, lends what it holds and takes nothing more."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers
        self.closed = False

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.closed:
            keys, values = super().update(key_states, value_states, *args, **kwargs)
            return keys, values
        if self.keys is None or self.values is None:  # no prefix
            return key_states, value_states
        return (
            torch.cat([self.keys, key_states], dim=-2),
            torch.cat([self.values, value_states], dim=-2),
        )


class SuffixRun:
    """The suffixes of a batch of texts, ready to be run again and again from layer `layer`."""

    def __init__(self, model: PreTrainedModel, texts: Sequence[Text], layer: int) -> None:
        device = model.device
        architecture = architecture_of(model)
        self._norm = model.get_submodule(architecture.norm)
        self._head = model.get_submodule(architecture.head)
        self._layers = list(layers_of(model))[layer:]
        self._calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        # 1. The prefixes, padded on the right: no token sees the padding behind it, and the mask
        # hides it from the suffixes.
        starts = torch.tensor([text.start for text in texts], device=device)
        width = int(starts.max())
        prefix_mask = torch.arange(width, device=device) < starts[:, None]
        lending = [LendingLayer() for _ in layers_of(model)]
        cache = Cache(layers=list(lending))
        with torch.no_grad():
            if width:
                prefixes = _pad([s.prompt[: s.start] for s in texts], width, device)
                model(
                    input_ids=prefixes,
                    attention_mask=_mask(prefix_mask),
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            for cached in lending:
                cached.closed = True

            # 2. The suffixes, once, to learn what each layer from `layer` on is called with.
            suffixes = [text.suffix for text in texts]
            lengths = torch.tensor([len(suffix) for suffix in suffixes], device=device)
            columns = torch.arange(int(lengths.max()), device=device)
            self.present = columns < lengths[:, None]  # [b, s]: padding is False
            hooks = [
                module.register_forward_pre_hook(self._remember, with_kwargs=True)
                for module in self._layers
            ]
            try:
                model(
                    input_ids=_pad(suffixes, len(columns), device),
                    attention_mask=_mask(torch.cat([prefix_mask, self.present], dim=1)),
                    position_ids=starts[:, None] + columns,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            finally:
                for hook in hooks:
                    hook.remove()

        # 3. The rows that predict the targets' tokens.
        first = torch.tensor([text.query for text in texts], device=device)
        self._predicting = self.present & (columns >= first[:, None])
        self._target_tokens = torch.tensor(
            [token for text in texts for token in text.target], device=device
        )
        self._target_lengths = torch.tensor([len(s.target) for s in texts], device=device)
        # [r]: which text each predicting row belongs to.
        self._row_text = self._predicting.nonzero()[:, 0]

    def _remember(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls.append((args, kwargs))

    def hidden(self) -> Tensor:
        """[b, s, d]: the last layer's output. Differentiable with respect to whatever hooks put
        into layer `layer` or those above it.
        """
        hidden: Tensor = self._calls[0][0][0]
        for module, (args, kwargs) in zip(self._layers, self._calls, strict=True):
            output = module(hidden, *args[1:], **kwargs)
            hidden = output[0] if isinstance(output, tuple) else output
        return hidden

    def losses(self) -> Tensor:
        """[b]: each text's mean negative log-likelihood per target token, in nats."""
        logits = self._head(self._norm(self.hidden()[self._predicting])).float()
        by_token = cross_entropy(logits, self._target_tokens, reduction="none")
        sums = torch.zeros(len(self.present), device=by_token.device)
        return sums.index_add(0, self._row_text, by_token) / self._target_lengths


def capture(module: nn.Module, run: Callable[[], object]) -> tuple[Tensor, Tensor]:
    """Runs `run` and returns the input and the output of `module` in its last call."""
    seen: list[tuple[Tensor, Tensor]] = []
    hook = module.register_forward_hook(lambda _, args, output: seen.append((args[0], output)))
    try:
        with torch.no_grad():
            run()
    finally:
        hook.remove()
    return seen[-1]


def _pad(rows: Sequence[Sequence[int]], width: int, device: torch.device) -> Tensor:
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)


def _mask(present: Tensor) -> Tensor:
    return present.long()
