"""Inserts targets into the hook layers in closed form, layer after layer.

Each layer takes its share of what is still missing at the last one; the residual is measured anew
before each (Meng et al. 2023, algorithm 1).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.alphas import calibrated, lowered
from service.editing.architectures import down_projection_of, mlp_norm_of
from service.editing.arithmetic import Arithmetic
from service.editing.behind_norm import before_norm
from service.editing.factors import kept
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooked import Hooked
from service.editing.interruption import aside
from service.editing.key_statistics import KeyStatistics
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.method import Method
from service.editing.moments import Moments
from service.editing.requests import FactRequest, FactTarget
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states
from service.editing.update_rules import Insertion
from service.errors import EditingError


@dataclass(frozen=True)
class LayerwiseInsertion:
    """By one method into one model."""

    model: PreTrainedModel
    method: Method
    hyperparameters: LocateHyperparameters
    statistics: Mapping[int, KeyStatistics]
    moments: Moments
    splitting: Splitting
    arithmetic: Arithmetic

    def insert(self, state: HookLayers, targets: Sequence[FactTarget]) -> HookLayers:
        """Raises `EditingError` for an edit whose keys are not finite, and `ArithmeticError` where
        the solve is not, or has no solution.
        """
        layers = self.hyperparameters.layers
        facts = [target.request for target in targets]
        wanted = torch.stack([target.state for target in targets]).to(self.model.device)
        grown = state
        for position, number in enumerate(layers):
            # Layers that are done run their gate, the paper's as it was; those to come run without.
            coming = layers[position:]
            pin = Hooked(
                self.model,
                {
                    n: (layer, Gate.ALWAYS if n in coming else state.gate)
                    for n, layer in grown.layers.items()
                },
            )
            layer = grown.layers.get(number) or HookLayer(
                alpha=self.hyperparameters.alpha, device=self.model.device
            )
            update = self._update(layer, number, facts, wanted, len(coming), pin)
            grown = grown.with_layer(number, layer.with_update(update))
            if grown.gate is Gate.CALIBRATED:
                # At once: later layers' keys and residuals must be those that serving will see.
                quantile = self.hyperparameters.quantile
                grown = calibrated(grown, number, self.statistics[number], quantile)
        if grown.gate is Gate.SEQUENCE:
            prompts = [fact.plain for fact in facts]
            grown = lowered(self.model, grown, layers, prompts, self.splitting)
        return grown

    def _update(
        self,
        layer: HookLayer,
        number: int,
        facts: Sequence[FactRequest],
        wanted: Tensor,
        layers_left: int,
        pin: Hooked,
    ) -> Update:
        projection = down_projection_of(self.model, number)
        last = self.method.output_module(self.model, self.hyperparameters.layers[-1])
        averaged = self._averaged_keys(number, facts, pin)  # [n, d_in]
        here, there = subject_states(
            self.model, [fact.plain for fact in facts], [projection, last], self.splitting, pin
        )
        for fact, keys in zip(facts, averaged, strict=True):
            if not bool(torch.isfinite(keys).all()):
                raise EditingError(fact.edit_id, "its keys are not finite")
        current = there.outputs
        if self.method.averaged_throughout:
            current = projection(averaged.to(self.model.dtype)).to(averaged)
            if layer.updates:
                current = current + averaged @ layer.delta.T
        residuals = (wanted - current) / layers_left
        norm = mlp_norm_of(self.model, number)
        if norm is not None and not self.method.of_mlp:
            residuals = before_norm(norm, here.outputs, residuals)
        earlier = layer.updates if self.method.accumulates else ()
        with aside(), _solving(number):
            left, right = self.method.rule(
                Insertion(
                    keys=averaged.T.double(),
                    plain_keys=here.inputs.T.double(),
                    residuals=residuals.T.double(),
                    second_moment=self.moments.second(number, averaged.device),
                    moment=self.moments.weighted(number, earlier, averaged.device),
                    ridge=self.hyperparameters.ridge,
                )
            )
            if self.arithmetic is Arithmetic.RIDGED:
                left, right = left.float(), right.float()
            else:
                left, right = kept(left, right)
        gate = self.method.gate(self.hyperparameters)
        nothing = torch.empty(averaged.shape[1], 0)
        update = Update(
            left.cpu(),
            right.cpu(),
            averaged.T.cpu().contiguous() if self.method.accumulates else nothing,
            here.inputs.T.cpu().contiguous() if gate is Gate.CALIBRATED else nothing,
            tuple(fact.edit_id for fact in facts),
        )
        if not bool(torch.isfinite(update.left).all() and torch.isfinite(update.right).all()):
            raise ArithmeticError(f"the solve at layer {number} is not finite")
        return update

    def _averaged_keys(self, number: int, facts: Sequence[FactRequest], pin: Hooked) -> Tensor:
        """[n, d_in]: keys averaged over each group of contexts, then over the groups."""
        texts = [text for fact in facts for group in fact.contexts for text in group]
        module = down_projection_of(self.model, number)
        (states,) = subject_states(self.model, texts, [module], self.splitting, pin)
        keys = iter(states.inputs)
        means = []
        for fact in facts:
            groups = [torch.stack([next(keys) for _ in group]) for group in fact.contexts]
            if self.method.of_mlp:  # ROME's average knows no groups
                means.append(torch.cat(groups).mean(dim=0))
            else:
                means.append(torch.stack([group.mean(dim=0) for group in groups]).mean(dim=0))
        return torch.stack(means)


@contextmanager
def _solving(layer: int) -> Iterator[None]:
    try:
        yield
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]  # it is documented
        raise ArithmeticError(f"the solve at layer {layer} has no solution: {error}") from error
