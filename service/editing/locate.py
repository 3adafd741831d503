"""Locate-and-edit: target hidden states, keys and residuals become weight changes of a few layers.

One machine for MEMIT, CoachHook, EMMET, ROME and R-ROME. They differ in their update rule, their
gate, whether a batch goes in at once or edit by edit, and in whether the shift is counted against a
layer's output or its MLP's.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, layers_of
from service.editing.hidden_targets import FactRequest, TargetHyperparameters, optimise_shift
from service.editing.hook_layer import Gate, HookLayer, HookLayers, Update, gated, z_scores
from service.editing.subject_states import SubjectText, subject_states, token_inputs
from service.editing.taps import After, after
from service.editing.update_rules import Insertion, Rule

# How far alpha stays below the score that sets it: rounding must not shut the gate on that prompt.
TIE = 1e-5


@dataclass(frozen=True)
class Method:
    """What makes an editor of this family."""

    name: str
    rule: Rule
    gated: bool = False  # by z-scores; otherwise the change always acts
    one_by_one: bool = False  # a batch goes in edit by edit
    of_mlp: bool = False  # the target is the MLP's output, not the layer's
    averaged_throughout: bool = False  # residuals, too, are taken at the averaged key


@dataclass(frozen=True)
class LocateHyperparameters:
    layers: tuple[int, ...]  # ascending; the targets are found at the last
    second_moment_weight: float = 15_000.0  # lambda
    ridge: float = 0.1  # of EMMET's constraint
    gate: Gate = Gate.SEQUENCE  # of a gated method
    alpha: float = 2.2  # where a gate's alpha starts
    target: TargetHyperparameters = field(default_factory=TargetHyperparameters)


@dataclass(frozen=True)
class FactTarget:
    """What one edit brings: its texts, to collect keys anew, and its target."""

    request: FactRequest
    target: Tensor  # [d] float32


class LocateEditor:
    """An editor of the family; `second_moments` are the C_0 of its layers, [d_in, d_in]."""

    def __init__(
        self,
        model: PreTrainedModel,
        method: Method,
        hyperparameters: LocateHyperparameters,
        second_moments: Mapping[int, Tensor],
    ) -> None:
        self._model = model
        self._method = method
        self._second_moments = second_moments
        self.hyperparameters = hyperparameters

    def empty(self) -> HookLayers:
        """The base model's overlay."""
        parameters = self.hyperparameters
        gate = parameters.gate if self._method.gated else Gate.ALWAYS
        return HookLayers(
            gate, {number: HookLayer(alpha=parameters.alpha) for number in parameters.layers}
        )

    def targets(self, state: HookLayers, requests: Sequence[FactRequest]) -> list[FactTarget]:
        """Optimises every request's target under the hooks of `state`."""
        if self._method.one_by_one and len(requests) > 1:
            raise ValueError("this method's targets are optimised one edit at a time")
        last = self.hyperparameters.layers[-1]
        pin = Hooked(self._model, {n: (layer, state.gate) for n, layer in state.layers.items()})
        module = self._output_module(last)
        (states,) = subject_states(self._model, [r.plain for r in requests], [module], pin)
        lengths = torch.linalg.vector_norm(states.outputs, dim=1)
        shifts = optimise_shift(
            self._model, last, requests, lengths, self.hyperparameters.target, pin
        )
        targets = states.outputs + shifts
        return [FactTarget(request, t) for request, t in zip(requests, targets, strict=True)]

    def insert(self, state: HookLayers, targets: Sequence[FactTarget]) -> HookLayers:
        """Inserts the targets by the method's rule, layer after layer; no gradient step."""
        layers = self.hyperparameters.layers
        requests = [target.request for target in targets]
        wanted = torch.stack([target.target for target in targets])  # [n, d]
        after_batch = state
        for position, number in enumerate(layers):
            # Layers that are done run their gate, as it was; the others run without one.
            pin = Hooked(
                self._model,
                {
                    n: (
                        after_batch.layers[n],
                        state.gate if n in layers[:position] else Gate.ALWAYS,
                    )
                    for n in layers
                    if after_batch.layers[n].updates
                },
            )
            update = self._update(
                after_batch, number, requests, wanted, len(layers) - position, pin
            )
            layer = after_batch.layers[number].with_update(update)
            after_batch = after_batch.with_layer(number, layer)
        if self._method.gated:
            after_batch = self._with_alphas(after_batch, [request.plain for request in requests])
        return after_batch

    def _update(
        self,
        state: HookLayers,
        number: int,
        requests: Sequence[FactRequest],
        wanted: Tensor,
        layers_left: int,
        pin: "Hooked",
    ) -> Update:
        projection = down_projection_of(self._model, number)
        last = self._output_module(self.hyperparameters.layers[-1])
        averaged = self._averaged_keys(number, requests, pin)  # [n, d_in]
        plain = [request.plain for request in requests]
        here, there = subject_states(self._model, plain, [projection, last], pin)
        current = there.outputs
        if self._method.averaged_throughout:
            current = projection(averaged.to(self._model.dtype)).float()
            if state.layers[number].updates:
                current = current + averaged @ state.layers[number].delta.T
        second_moment = self._second_moments[number].to(averaged.device, torch.float64)
        left, right = self._method.rule(
            Insertion(
                keys=averaged.T.double(),
                plain_keys=here.inputs.T.double(),
                residuals=((wanted - current).T.double() / layers_left),
                second_moment=second_moment,
                accumulated=state.layers[number].accumulated(len(second_moment), averaged.device),
                second_moment_weight=self.hyperparameters.second_moment_weight,
                ridge=self.hyperparameters.ridge,
            )
        )
        return Update(left.float().cpu(), right.float().cpu(), averaged.T.cpu().contiguous())

    def _averaged_keys(self, number: int, requests: Sequence[FactRequest], pin: "Hooked") -> Tensor:
        """[n, d_in]: keys averaged over each group of contexts, then over the groups."""
        texts = [text for r in requests for group in r.contexts for text in group]
        projection = down_projection_of(self._model, number)
        keys = iter(subject_states(self._model, texts, [projection], pin)[0].inputs)
        means = []
        for request in requests:
            groups = [torch.stack([next(keys) for _ in group]) for group in request.contexts]
            if self._method.of_mlp:  # ROME's average knows no groups
                means.append(torch.cat(groups).mean(dim=0))
            else:
                means.append(torch.stack([group.mean(dim=0) for group in groups]).mean(dim=0))
        return torch.stack(means)

    def _output_module(self, number: int) -> nn.Module:
        """What the targets are outputs of, at layer `number`."""
        if self._method.of_mlp:
            return down_projection_of(self._model, number)
        return layers_of(self._model)[number]

    def _with_alphas(self, state: HookLayers, prompts: Sequence[SubjectText]) -> HookLayers:
        """Lowers each layer's alpha to the least, over the batch's prompts, of the largest z-score
        in the prompt, measured on the base model: the gate opens for every edit of the batch.
        """
        numbers = self.hyperparameters.layers
        inputs = token_inputs(
            self._model, prompts, [down_projection_of(self._model, number) for number in numbers]
        )
        for number, (rows, present) in zip(numbers, inputs, strict=True):
            layer = state.layers[number]
            norms = torch.linalg.vector_norm(rows @ layer.delta.T, dim=2)
            scores = z_scores(norms, present).masked_fill(~present, -torch.inf)
            least = float(scores.max(dim=1).values.min()) - TIE
            state = state.with_layer(number, replace(layer, alpha=min(layer.alpha, least)))
        return state


class Hooked:
    """The pin of some hook layers, each with the gate that it runs."""

    def __init__(
        self, model: PreTrainedModel, layers: Mapping[int, tuple[HookLayer, Gate]]
    ) -> None:
        self._layers = {
            down_projection_of(model, number): pair
            for number, pair in layers.items()
            if pair[0].updates
        }

    def __call__(self, present: Tensor) -> AbstractContextManager[None]:
        def function(layer: HookLayer, gate: Gate) -> After:
            return lambda args, output: gated(layer, gate, args[0], output, present)

        return after({module: function(*pair) for module, pair in self._layers.items()})
