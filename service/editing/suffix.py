"""Runs the part of a forward pass that an optimisation changes, and only that part.

A vector put into layer L at some token changes nothing before that token and nothing below L. So
each text is run once, and the keys and values of the tokens before that one are kept. Every
gradient step runs the rest of the text, its suffix, from L to the logits that predict the target.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import Cache, DynamicLayer, PreTrainedModel

from service.editing.architectures import architecture_of, capped, layers_of
from service.editing.taps import After, Before, after, before, hidden_of, per_text


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
        self._lent: tuple[Tensor, Tensor] | None = None

    def close(self, columns: int) -> None:
        """Keeps the first `columns` tokens."""
        keys, values = cast("Tensor", self.keys), cast("Tensor", self.values)
        self.keys, self.values = keys[..., :columns, :], values[..., :columns, :]
        self._lent = self.keys, self.values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if self._lent is None:
            keys, values = super().update(key_states, value_states, *args, **kwargs)
            return keys, values
        keys, values = self._lent
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


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
        watch: nn.Module | None = None,
    ) -> None:
        """`watch`: a module whose input and output at the suffixes are kept as `watched`, each
        [b, s, ...].
        """
        device = model.device
        architecture = architecture_of(model)
        self._model = model
        self._norm = model.get_submodule(architecture.norm)
        self._head = model.get_submodule(architecture.head)
        self._layers = list(layers_of(model))[layer:]
        self._calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        # 1. The whole texts, shifted so that all suffixes start at one column: a token's distance
        # in columns is its distance in the text, as sliding windows count it.
        starts = torch.tensor([text.start for text in texts], device=device)
        lengths = torch.tensor([len(text.suffix) for text in texts], device=device)
        edge = int(starts.max())  # the column at which suffixes start
        columns = torch.arange(edge + int(lengths.max()), device=device)
        positions = (columns - edge + starts[:, None]).clamp(min=0)
        present = (columns >= edge - starts[:, None]) & (columns < edge + lengths[:, None])
        ids = torch.zeros_like(positions)
        tokens = [token for text in texts for token in (*text.prompt, *text.target)[:-1]]
        ids[present] = torch.tensor(tokens, device=device)
        lending = [LendingLayer() for _ in layers_of(model)]
        cache = Cache(layers=list(lending))
        seen: list[Tensor] = []
        entering: dict[nn.Module, Before] = {self._layers[0]: lambda args, _: seen.append(args[0])}
        self.watched: tuple[Tensor, ...] = ()

        def keep(args: tuple[Tensor, ...], output: Tensor) -> None:
            self.watched = (
                per_text(args[0], present)[:, edge:],
                per_text(output, present)[:, edge:],
            )

        watching: dict[nn.Module, After] = {} if watch is None else {watch: keep}
        with torch.no_grad(), pin(present), before(entering), after(watching):
            _call(model, ids, present, positions, cache)
        for cached in lending:
            cached.close(edge)

        # 2. The suffixes, to learn how each layer is called for them. What they compute below
        # `layer` is left aside for what the whole texts had there.
        self.present = present[:, edge:]  # [b, s]: padding is False
        with torch.no_grad(), before(dict.fromkeys(self._layers, self._remember)):
            _call(model, ids[:, edge:], present, positions[:, edge:], cache)
        self._entering = seen[0][:, edge:].to(device)

        # 3. The rows that predict the targets' tokens.
        first = torch.tensor([text.query for text in texts], device=device)
        self._predicting = self.present & (columns[: self.present.shape[1]] >= first[:, None])
        self._target_tokens = torch.tensor(
            [token for text in texts for token in text.target], device=device
        )
        self._target_lengths = torch.tensor([len(text.target) for text in texts], device=device)
        # [r]: which text each predicting row belongs to.
        self.text_of_row = self._predicting.nonzero()[:, 0]

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls.append((args, kwargs))

    def hidden(self, shift: Tensor | None = None) -> Tensor:
        """[b, s, d]: the last layer's output. Differentiable with respect to whatever taps put into
        the layers from `layer` on, and to `shift` [b, w, d], which is added to what enters `layer`
        at each suffix's first w tokens.
        """
        hidden = self._entering
        if shift is not None:
            width = shift.shape[1]
            shifted = hidden[:, :width] + shift.to(hidden.dtype)
            hidden = torch.cat([shifted, hidden[:, width:]], dim=1)
        for module, (args, kwargs) in zip(self._layers, self._calls, strict=True):
            hidden = hidden_of(module(hidden, *args[1:], **kwargs))
        return hidden.to(self.present.device)

    def logits(self, shift: Tensor | None = None) -> Tensor:
        """[r, vocabulary] float32: one row per target token, text after text."""
        rows = self._head(self._norm(self.hidden(shift)[self._predicting]))
        return capped(self._model, rows).float().to(self.present.device)

    def losses(self, logits: Tensor) -> Tensor:
        """[b]: each text's mean negative log-likelihood per target token, in nats."""
        by_token = cross_entropy(logits, self._target_tokens, reduction="none")
        sums = torch.zeros(len(self.present), device=by_token.device)
        return sums.index_add(0, self.text_of_row, by_token) / self._target_lengths


def _call(
    model: PreTrainedModel, ids: Tensor, present: Tensor, positions: Tensor, cache: Cache
) -> None:
    model(
        input_ids=ids,
        attention_mask=present.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
