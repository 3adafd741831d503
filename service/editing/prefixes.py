"""Texts that are run once: what is kept of them, so that only their suffixes are run again."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicLayer, PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.logits import hidden_states
from service.editing.taps import After, Before, after, before, per_text


@dataclass(frozen=True)
class Text:
    """One text to run: prompt and target as token ids, and where its suffix starts."""

    edit: int  # the number of its edit in the batch
    prompt: tuple[int, ...]
    target: tuple[int, ...]
    start: int  # tokens before this one are the prefix
    spelled: bool = False  # its prompt is another spelling of one that was given

    @property
    def suffix(self) -> tuple[int, ...]:
        """Every token from `start` on but the last, which predicts nothing."""
        return (*self.prompt, *self.target)[self.start : -1]

    @property
    def query(self) -> int:
        """The suffix's column of the prompt's last token."""
        return len(self.prompt) - 1 - self.start


class Pin(Protocol):
    """Makes forward passes inside the block run under some overlay; `present` [b, t] tells which
    of their tokens are real.
    """

    def __call__(self, present: Tensor) -> AbstractContextManager[None]: ...


def no_overlay(present: Tensor) -> AbstractContextManager[None]:  # noqa: ARG001
    """The pin of the base model."""
    return nullcontext()


class LendingLayer(DynamicLayer):
    """A layer of a KV cache that lends keys and values [b, h, p, d_head], and takes nothing."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # transformers
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._lent = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._lent
        return torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)


@dataclass(frozen=True)
class Prefixes:
    """The texts lie so that all suffixes start at column p: a token's distance in columns is its
    distance in the text, as sliding windows count it.
    """

    ids: Tensor  # [b, s]: the suffixes' tokens
    positions: Tensor  # [b, s]: and where they stand in their texts
    present: Tensor  # [b, p + s]: padding, on either side, is False
    lent: tuple[tuple[Tensor, Tensor], ...]  # by layer: keys and values [b, h, p, d_head]
    entering: Tensor  # [b, s, d]: what enters the layer that suffixes are run from
    watched: tuple[Tensor, ...]  # input and output of the watched module [b, s, ...]; or none

    @property
    def suffixes(self) -> Tensor:
        """[b, s]: which of their tokens are real."""
        return self.present[:, -self.ids.shape[1] :]

    def cache(self) -> Cache:
        return Cache(layers=[LendingLayer(keys, values) for keys, values in self.lent])

    def part(self, texts: Tensor) -> "Prefixes":
        """Of the chosen `texts` [b] bool, without the columns that none of them needs."""
        edge = self.present.shape[1] - self.ids.shape[1]
        chosen = self.present[texts]
        first = edge - int(chosen[:, :edge].sum(dim=1).max())
        width = int(chosen[:, edge:].sum(dim=1).max())

        def lent(cached: Tensor) -> Tensor:
            return cached[texts.to(cached.device), :, first:]

        return Prefixes(
            self.ids[texts, :width],
            self.positions[texts, :width],
            chosen[:, first : edge + width],
            tuple((lent(keys), lent(values)) for keys, values in self.lent),
            self.entering[texts, :width],
            tuple(side[texts, :width] for side in self.watched),
        )


def run(
    model: PreTrainedModel,
    texts: Sequence[Text],
    layer: int,
    pin: Pin = no_overlay,
    watch: nn.Module | None = None,
) -> Prefixes:
    """Runs whole texts under the pin's overlay. Suffixes are to be run from `layer` on; the module
    `watch` is watched at them.
    """
    device = model.device
    starts = torch.tensor([text.start for text in texts], device=device)
    lengths = torch.tensor([len(text.suffix) for text in texts], device=device)
    edge = int(starts.max())  # the column at which suffixes start
    columns = torch.arange(edge + int(lengths.max()), device=device)
    positions = (columns - edge + starts[:, None]).clamp(min=0)
    present = (columns >= edge - starts[:, None]) & (columns < edge + lengths[:, None])
    ids = torch.zeros_like(positions)
    tokens = [token for text in texts for token in (*text.prompt, *text.target)[:-1]]
    ids[present] = torch.tensor(tokens, device=device)

    cached = [DynamicLayer() for _ in layers_of(model)]
    seen: list[Tensor] = []
    watched: list[Tensor] = []

    def enter(args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        seen.append(args[0][:, edge:].to(device))

    def keep(args: tuple[Any, ...], output: Tensor) -> None:
        watched.extend(per_text(side, present)[:, edge:] for side in (args[0], output))

    entering: dict[nn.Module, Before] = {layers_of(model)[layer]: enter}
    watching: dict[nn.Module, After] = {} if watch is None else {watch: keep}
    with torch.no_grad(), pin(present), before(entering), after(watching):
        call(model, ids, present, positions, Cache(layers=list(cached)))
    held = cast("list[tuple[Tensor, Tensor]]", [(one.keys, one.values) for one in cached])
    return Prefixes(
        ids[:, edge:],
        positions[:, edge:],
        present,
        tuple((keys[:, :, :edge], values[:, :, :edge]) for keys, values in held),
        seen[0],
        tuple(watched),
    )


def call(
    model: PreTrainedModel, ids: Tensor, present: Tensor, positions: Tensor, cache: Cache
) -> None:
    """A pass of tokens `ids` [b, t] that follow those in the cache; `present` [b, p + t] is of
    both.
    """
    hidden_states(
        model,
        input_ids=ids,
        attention_mask=present.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
