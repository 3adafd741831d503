"""Hook layers at work on the forward passes of the thread that pins them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.gates import Gate, Tokens, z_scores
from service.editing.hook_layer import HookLayer, HookLayers
from service.editing.taps import After, after, per_text

# Told of what projection `number` adds: its inputs [..., d_in], the change [..., d_out] as its gate
# lets it through, and the z-scores [...] that the gate went by, if any.
Seen = Callable[[int, HookLayer, Tensor, Tensor, Tensor | None], None]
# Norms at tokens [...] to their z-scores [...], each among its own text's.
ByText = Callable[[Tensor], Tensor]


class Hooked:
    """The pin of some hook layers, each with the gate that it runs; on the model's device."""

    def __init__(
        self, model: PreTrainedModel, layers: Mapping[int, tuple[HookLayer, Gate]]
    ) -> None:
        self._model = model
        self._layers = {n: pair for n, pair in layers.items() if pair[0].updates}

    @classmethod
    def by(cls, model: PreTrainedModel, overlay: HookLayers) -> "Hooked":
        """All layers of an overlay behind its own gate."""
        return cls(model, {n: (layer, overlay.gate) for n, layer in overlay.layers.items()})

    def __call__(self, present: Tensor) -> AbstractContextManager[None]:
        """Whole texts, whose real tokens are `present` [b, t]."""
        return self.on(Tokens.whole(present))

    def on(self, tokens: Tokens, seen: Seen | None = None) -> AbstractContextManager[None]:
        def function(number: int, layer: HookLayer, gate: Gate) -> After:
            return lambda args, output: gated(number, layer, gate, args[0], output, tokens, seen)

        return after(
            {
                down_projection_of(self._model, number): function(number, *pair)
                for number, pair in self._layers.items()
            }
        )


def gated(
    number: int,
    layer: HookLayer,
    gate: Gate,
    inputs: Tensor,
    outputs: Tensor,
    tokens: Tokens,
    seen: Seen | None = None,
) -> Tensor:
    """The outputs [b, t, d_out] of projection `number` with its gate open where it should be, given
    its inputs [b, t, d_in] and own outputs.
    """
    inputs = per_text(inputs, tokens.present)
    change, scores = opened(layer, gate, inputs, lambda norms: z_scores(norms, tokens, number))
    if seen is not None:
        seen(number, layer, inputs, change, scores)
    return outputs + change.to(outputs).view_as(outputs)


def opened(
    layer: HookLayer, gate: Gate, inputs: Tensor, by_text: ByText
) -> tuple[Tensor, Tensor | None]:
    """What a layer adds [..., d_out] at inputs [..., d_in], nothing where its gate is shut, and the
    z-scores [...] that the gate went by, if any.
    """
    change = inputs.float() @ layer.delta.T
    if gate is Gate.ALWAYS:
        return change, None
    norms = torch.linalg.vector_norm(change, dim=-1)
    scores = by_text(norms) if gate is Gate.SEQUENCE else (norms - layer.mean) / layer.deviation
    return change * (scores >= layer.alpha)[..., None], scores
