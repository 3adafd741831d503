"""Runs the part of a forward pass that an optimisation changes, and only that part.

A vector put into layer L at some token changes nothing before that token and nothing below L. So
each text is run once, and the keys and values of the tokens before that one are kept. Every
gradient step runs the rest of the text, its suffix, from L to the logits that predict the target.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from service.editing import prefixes
from service.editing.architectures import architecture_of, layers_of
from service.editing.logits import logits_of
from service.editing.prefixes import Pin, Prefixes, Text, no_overlay
from service.editing.taps import before, hidden_of


class SuffixRun:
    """The suffixes of a batch of texts, ready to be run again and again from layer `layer`."""

    def __init__(
        self, model: PreTrainedModel, texts: Sequence[Text], layer: int, kept: Prefixes
    ) -> None:
        self._model = model
        self._texts = texts
        self._layer = layer
        self._kept = kept
        self._norm = model.get_submodule(architecture_of(model).norm)
        self._layers = list(layers_of(model))[layer:]

        # 1. How each layer is called for the suffixes. What they compute below `layer` is left
        # aside for what the whole texts had there.
        self._calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        with torch.no_grad(), before(dict.fromkeys(self._layers, self._remember)):
            prefixes.call(model, kept.ids, kept.present, kept.positions, kept.cache())

        # 2. The rows that predict the targets' tokens.
        device = kept.ids.device
        self.present = kept.suffixes  # [b, s]: padding is False
        first = torch.tensor([text.query for text in texts], device=device)
        columns = torch.arange(self.present.shape[1], device=device)
        self._predicting = self.present & (columns >= first[:, None])
        self._target_tokens = torch.tensor(
            [token for text in texts for token in text.target], device=device
        )
        self._target_lengths = torch.tensor([len(text.target) for text in texts], device=device)
        # [r]: which text each predicting row belongs to.
        self.text_of_row = self._predicting.nonzero()[:, 0]

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        texts: Sequence[Text],
        layer: int,
        pin: Pin = no_overlay,
        watch: nn.Module | None = None,
    ) -> "SuffixRun":
        """`watch`: a module whose input and output at the suffixes are kept as `watched`, each
        [b, s, ...].
        """
        return cls(model, texts, layer, prefixes.run(model, texts, layer, pin, watch))

    def part(self, texts: Tensor) -> "SuffixRun":
        """Of the chosen `texts` [b] bool; what was kept of the whole texts serves on."""
        chosen = [text for text, is_in in zip(self._texts, texts.tolist(), strict=True) if is_in]
        return SuffixRun(self._model, chosen, self._layer, self._kept.part(texts))

    @property
    def watched(self) -> tuple[Tensor, ...]:
        return self._kept.watched

    def _remember(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._calls.append((args, kwargs))

    def hidden(self, shift: Tensor | None = None) -> Tensor:
        """[b, s, d]: the last layer's output. Differentiable with respect to whatever taps put into
        the layers from `layer` on, and to `shift` [b, w, d], which is added to what enters `layer`
        at each suffix's first w tokens.
        """
        hidden = self._kept.entering
        if shift is not None:
            width = shift.shape[1]
            shifted = hidden[:, :width] + shift.to(hidden.dtype)
            hidden = torch.cat([shifted, hidden[:, width:]], dim=1)
        for module, (args, kwargs) in zip(self._layers, self._calls, strict=True):
            hidden = hidden_of(module(hidden, *args[1:], **kwargs))
        return hidden.to(self.present.device)

    def logits(self, shift: Tensor | None = None) -> Tensor:
        """[r, vocabulary] float32: one row per target token, text after text."""
        rows = self._norm(self.hidden(shift)[self._predicting])
        return logits_of(self._model, rows).float().to(self.present.device)

    def by_token(self, logits: Tensor) -> Tensor:
        """[r]: the negative log-likelihood of each target token, in nats."""
        return cross_entropy(logits, self._target_tokens, reduction="none")

    def leads(self, logits: Tensor) -> Tensor:
        """[r]: how far each target token's logit is above that of the best other token, in nats."""
        own = self._target_tokens[:, None]
        others = logits.scatter(1, own, -torch.inf).amax(dim=1)
        return logits.gather(1, own)[:, 0] - others

    def losses(self, by_token: Tensor) -> Tensor:
        """[b]: each text's mean of those per target token."""
        sums = torch.zeros(len(self.present), device=by_token.device)
        return sums.index_add(0, self.text_of_row, by_token) / self._target_lengths
