"""Runs the part of a forward pass that an optimisation changes, and only that part.

A vector put into layer L at some token changes nothing before that token and nothing below L. So
each text is run once, and the keys and values of the tokens before that one are kept. Every
gradient step runs the rest of the text, its suffix, from L to the logits that predict the target.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Cache, DynamicLayer, PreTrainedModel

from service.editing.architectures import architecture_of, layers_of, positions_of
from service.editing.taps import Before, after, before, hidden_of


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


class Pin(Protocol):
    """Makes forward passes inside the block run under some overlay; `present` [b, t] tells which
    of their tokens are real.
    """

    def __call__(self, present: Tensor) -> AbstractContextManager[None]: ...


def no_overlay(present: Tensor) -> AbstractContextManager[None]:  # noqa: ARG001
    """The pin of the base model."""
    return nullcontext()


class SuffixRun:
    """The suffixes of a batch of texts, ready to be run again and again from layer `layer`."""

    def __init__(
        self,
        model: PreTrainedModel,
        texts: Sequence[Text],
        layer: int,
        pin: Pin = no_overlay,
    ) -> None:
        device = model.device
        architecture = architecture_of(model)
        self._norm = model.get_submodule(architecture.norm)
        self._head = model.get_submodule(architecture.head)
        self._layers = list(layers_of(model))[layer:]
        self._calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        # 1. The whole texts, padded on the right: no token sees the padding behind it. Their keys
        # and values stay, and so does what goes into `layer`.
        whole = [(*text.prompt, *text.target)[:-1] for text in texts]
        starts = torch.tensor([text.start for text in texts], device=device)
        ends = torch.tensor([len(tokens) for tokens in whole], device=device)
        places = torch.arange(int(ends.max()), device=device)
        present = places < ends[:, None]
        lending = [LendingLayer() for _ in layers_of(model)]
        cache = Cache(layers=list(lending))
        seen: list[Tensor] = []
        entering: dict[nn.Module, Before] = {self._layers[0]: lambda args, _: seen.append(args[0])}
        with torch.no_grad(), pin(present), before(entering):
            self._run(model, whole, present, places[None], cache)
        for cached in lending:
            cached.closed = True

        # 2. The suffixes, to learn how each layer is called for them. The mask shows them their
        # own prefix in the cache and nothing else of it; what they compute below `layer` is left
        # aside for what the whole texts had there.
        suffixes = [text.suffix for text in texts]
        columns = torch.arange(max(map(len, suffixes)), device=device)
        positions = starts[:, None] + columns
        self.present = positions < ends[:, None]  # [b, s]: padding is False
        mask = torch.cat([places < starts[:, None], self.present], dim=1)
        with torch.no_grad(), before(dict.fromkeys(self._layers, self._remember)):
            self._run(model, suffixes, mask, positions, cache)
        rows = torch.arange(len(texts), device=device)[:, None]
        self._entering = seen[0][rows, positions.clamp(max=len(places) - 1)]

        # 3. The rows that predict the targets' tokens.
        first = torch.tensor([text.query for text in texts], device=device)
        self._predicting = self.present & (columns >= first[:, None])
        self._target_tokens = torch.tensor(
            [token for text in texts for token in text.target], device=device
        )
        self._target_lengths = torch.tensor([len(text.target) for text in texts], device=device)
        # [r]: which text each predicting row belongs to.
        self.text_of_row = self._predicting.nonzero()[:, 0]

    @staticmethod
    def _run(
        model: PreTrainedModel,
        rows: Sequence[Sequence[int]],
        mask: Tensor,
        positions: Tensor,
        cache: Cache,
    ) -> None:
        width = max(map(len, rows))
        padded = [[*row, *[0] * (width - len(row))] for row in rows]
        model(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=mask.long(),
            position_ids=positions.clamp(max=positions_of(model) - 1).expand(len(rows), -1),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls.append((args, kwargs))

    def hidden(self, shift: Tensor | None = None) -> Tensor:
        """[b, s, d]: the last layer's output. Differentiable with respect to whatever taps put into
        the layers from `layer` on, and to `shift` [b, d], which is added to what enters `layer` at
        each suffix's first token.
        """
        hidden = self._entering
        if shift is not None:
            hidden = torch.cat([hidden[:, :1] + shift[:, None].to(hidden.dtype), hidden[:, 1:]], 1)
        for module, (args, kwargs) in zip(self._layers, self._calls, strict=True):
            hidden = hidden_of(module(hidden, *args[1:], **kwargs))
        return hidden

    def logits(self, shift: Tensor | None = None) -> Tensor:
        """[r, vocabulary] float32: one row per target token, text after text."""
        logits: Tensor = self._head(self._norm(self.hidden(shift)[self._predicting]))
        return logits.float()

    def losses(self, logits: Tensor) -> Tensor:
        """[b]: each text's mean negative log-likelihood per target token, in nats."""
        by_token = cross_entropy(logits, self._target_tokens, reduction="none")
        sums = torch.zeros(len(self.present), device=by_token.device)
        return sums.index_add(0, self.text_of_row, by_token) / self._target_lengths


def capture(module: nn.Module, run: Callable[[], object]) -> tuple[Tensor, Tensor]:
    """Runs `run` and returns the input and the output of `module` in its last call."""
    seen: list[tuple[Tensor, Tensor]] = []

    def remember(args: tuple[Any, ...], output: Any) -> None:
        seen.append((args[0], hidden_of(output)))

    with torch.no_grad(), after({module: remember}):
        run()
    return seen[-1]
