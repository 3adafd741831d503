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

# Told of what projection `number` adds at the tokens that are present [b, t]: its inputs
# [b, t, d_in], the change [b, t, d_out] as its gate lets it through, and the z-scores [b, t] that
# the gate went by, if any.
Seen = Callable[[int, HookLayer, Tensor, Tensor, Tensor, Tensor | None], None]


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
    change = inputs.float() @ layer.delta.T
    scores = None
    if gate is not Gate.ALWAYS:
        norms = torch.linalg.vector_norm(change, dim=2)
        if gate is Gate.SEQUENCE:
            scores = z_scores(norms, tokens, number)
        else:
            scores = (norms - layer.mean) / layer.deviation
        change = change * (scores >= layer.alpha)[..., None]
    if seen is not None:
        seen(number, layer, tokens.present, inputs, change, scores)
    return outputs + change.to(outputs).view_as(outputs)
