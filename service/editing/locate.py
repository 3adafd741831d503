"""Locate-and-edit: target hidden states, keys and residuals become weight changes of a few layers.

One machine for MEMIT, CoachHook, EMMET, ROME and R-ROME. They differ in their update rule, their
gate, whether a batch goes in at once or edit by edit, and in whether the shift is counted against a
layer's output or its MLP's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.domain.batches import LayerMetrics
from service.domain.edits import Correction
from service.editing.alphas import calibrated, lowered
from service.editing.architectures import (
    down_projection_of,
    layers_of,
    mlp_norm_of,
    weight_of,
)
from service.editing.behind_norm import before_norm
from service.editing.facts import fact_request
from service.editing.gates import Gate
from service.editing.hidden_targets import Mlp, optimise_shift
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooked import Hooked
from service.editing.hooks_change import HooksChange
from service.editing.interruption import aside
from service.editing.key_statistics import KeyStatistics
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.moments import Moments
from service.editing.requests import (
    EditRequest,
    FactRequest,
    FactTarget,
    SubjectText,
    edit_request,
)
from service.editing.splitting import Splitting
from service.editing.subject_states import States, subject_states
from service.editing.taps import tap
from service.editing.update_rules import Insertion, Rule
from service.errors import EditingError

NOT_FINITE = "its {} are not finite"
# Beside its hyperparameters, what else an editor needs to be built again is recorded under:
STATISTICS = "statistics"
TEMPLATES = "templates"
Templates = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Method:
    """What makes an editor of this family."""

    name: str
    rule: Rule
    gated: bool = False  # by z-scores, unless told otherwise; else the change always acts
    accumulates: bool = False  # keeps the keys of earlier batches in mind
    one_by_one: bool = False  # a batch goes in edit by edit
    of_mlp: bool = False  # the target is the MLP's output, not the layer's
    averaged_throughout: bool = False  # residuals, too, are taken at the averaged key

    def gate(self, hyperparameters: LocateHyperparameters) -> Gate:
        return hyperparameters.gate if self.gated else Gate.ALWAYS


class LocateEditor:
    """An editor of the family; `statistics` are those of its layers."""

    exact = False

    def __init__(
        self,
        model: PreTrainedModel,
        method: Method,
        hyperparameters: LocateHyperparameters,
        statistics: Mapping[int, KeyStatistics],
        templates: Templates = (("{}",),),
        splitting: Splitting | None = None,
    ) -> None:
        self.name = method.name
        self.hyperparameters = hyperparameters
        self._model = model
        self._method = method
        self._gate = method.gate(hyperparameters)
        self._statistics = statistics
        self._moments = Moments(statistics, hyperparameters.second_moment_weight)
        self._templates = templates
        self._splitting = splitting or Splitting()
        first = hyperparameters.layers[0]
        for number, layer in list(enumerate(layers_of(model)))[first:]:
            tap(layer)  # while nobody runs the model
            tap(down_projection_of(model, number))

    def recorded(self) -> dict[str, Any]:
        """The hyperparameters as they are written to the log."""
        used = {n: self._statistics[n] for n in self.hyperparameters.layers}
        statistics = {str(n): {"source": s.source, "sha256": s.digest} for n, s in used.items()}
        return {
            **asdict(self.hyperparameters),
            "gate": self._gate,
            STATISTICS: statistics,
            TEMPLATES: self._templates,
        }

    def request(
        self, tokenizer: PreTrainedTokenizerBase, edit_id: int, correction: Correction
    ) -> EditRequest:
        position = self.hyperparameters.position
        try:
            fact = fact_request(tokenizer, edit_id, correction, self._templates, position)
        except ValueError as error:
            raise EditingError(edit_id, f"its subject {error}") from error
        return edit_request(tokenizer, edit_id, correction, fact)

    def empty(self) -> HookLayers:
        """The overlay of no edits."""
        return HookLayers(self._gate, {})

    def targets(
        self, state: HookLayers | None, requests: Sequence[EditRequest]
    ) -> tuple[list[FactTarget], list[EditingError]]:
        """Optimises every request's target under the hooks of `state`. Returns the targets, in
        order, and the edits whose target is not finite.
        """
        state = (state or self.empty()).to(self._model.device)
        facts = [request.fact for request in requests if request.fact is not None]
        found: list[FactTarget] = []
        errors: list[EditingError] = []
        for part in [[fact] for fact in facts] if self._method.one_by_one else [facts]:
            sound = []
            for target in self._optimised(state, part) if part else ():
                if bool(torch.isfinite(target.state).all()):
                    sound.append(target)
                else:
                    errors.append(EditingError(target.edit_id, NOT_FINITE.format("targets")))
            found += sound
            if self._method.one_by_one and sound:  # the next one's is found with this one in
                state = self._insert(state, sound)
        return found, errors

    def insert(self, state: HookLayers | None, targets: Sequence[FactTarget]) -> HookLayers | None:
        """Inserts the targets by the method's rule; no gradient step. Raises `EditingError` for an
        edit whose keys are not finite.
        """
        if not targets:
            return state
        device = self._model.device
        grown = (state or self.empty()).to(device)
        for part in [[t] for t in targets] if self._method.one_by_one else [targets]:
            grown = self._insert(grown, part)
        return grown

    def change(
        self, parent: HookLayers | None, state: HookLayers | None, targets: Sequence[FactTarget]
    ) -> HooksChange:
        """What made `state` out of `parent`."""
        return HooksChange.between(parent, state or self.empty(), targets)

    def metrics(
        self,
        parent: HookLayers | None,  # noqa: ARG002  # of every editor's signature
        state: HookLayers | None,
        targets: Sequence[FactTarget],
    ) -> dict[str, Any]:
        """Each layer's whole change beside its weight, and the mean residual of the targets."""
        layers = {} if state is None else state.layers
        return {
            "layers": tuple(
                LayerMetrics(n, float(layer.delta.norm()), float(self._weight(n).norm()))
                for n, layer in sorted(layers.items())
            ),
            "residual": float(self._residuals(state, targets).mean())
            if state and targets
            else None,
        }

    def _weight(self, number: int) -> Tensor:
        return weight_of(down_projection_of(self._model, number)).float()

    def _residuals(self, state: HookLayers, targets: Sequence[FactTarget]) -> Tensor:
        """[n]: how far each edit's hidden state is from its target, in lengths of the target."""
        wanted = torch.stack([target.state for target in targets]).to(self._model.device)
        (current,) = self._states(
            [target.request.plain for target in targets],
            [self._output_module(self.hyperparameters.layers[-1])],
            Hooked.by(self._model, state.to(self._model.device)),
        )
        distances: Tensor = torch.linalg.vector_norm(wanted - current.outputs, dim=1)
        lengths: Tensor = torch.linalg.vector_norm(wanted, dim=1)
        return distances / lengths

    def _optimised(self, state: HookLayers, facts: Sequence[FactRequest]) -> list[FactTarget]:
        last = self.hyperparameters.layers[-1]
        pin = Hooked.by(self._model, state)
        (states,) = self._states([f.plain for f in facts], [self._output_module(last)], pin)
        norm = mlp_norm_of(self._model, last) if self._method.of_mlp else None
        shifts = optimise_shift(
            self._model,
            last,
            facts,
            torch.linalg.vector_norm(states.outputs, dim=1),
            self.hyperparameters,
            self._splitting,
            pin,
            None if norm is None else Mlp(down_projection_of(self._model, last), norm),
        )
        targets = (states.outputs + shifts).cpu()
        return [FactTarget(fact, target) for fact, target in zip(facts, targets, strict=True)]

    def _insert(self, state: HookLayers, targets: Sequence[FactTarget]) -> HookLayers:
        """Layer after layer, the residual measured anew before each."""
        layers = self.hyperparameters.layers
        facts = [target.request for target in targets]
        wanted = torch.stack([target.state for target in targets]).to(self._model.device)
        grown = state
        for position, number in enumerate(layers):
            # Layers that are done run their gate, the paper's as it was; those to come run without.
            coming = layers[position:]
            pin = Hooked(
                self._model,
                {
                    n: (layer, Gate.ALWAYS if n in coming else state.gate)
                    for n, layer in grown.layers.items()
                },
            )
            layer = grown.layers.get(number) or self._new_layer()
            update = self._update(layer, number, facts, wanted, len(coming), pin)
            grown = grown.with_layer(number, layer.with_update(update))
            if grown.gate is Gate.CALIBRATED:
                # At once: later layers' keys and residuals must be those that serving will see.
                quantile = self.hyperparameters.quantile
                grown = calibrated(grown, number, self._statistics[number], quantile)
        if grown.gate is Gate.SEQUENCE:
            prompts = [fact.plain for fact in facts]
            grown = lowered(self._model, grown, layers, prompts, self._splitting)
        return grown

    def _new_layer(self) -> HookLayer:
        return HookLayer(alpha=self.hyperparameters.alpha, device=self._model.device)

    def _update(
        self,
        layer: HookLayer,
        number: int,
        facts: Sequence[FactRequest],
        wanted: Tensor,
        layers_left: int,
        pin: Hooked,
    ) -> Update:
        projection = down_projection_of(self._model, number)
        last = self._output_module(self.hyperparameters.layers[-1])
        averaged = self._averaged_keys(number, facts, pin)  # [n, d_in]
        here, there = self._states([fact.plain for fact in facts], [projection, last], pin)
        for fact, keys in zip(facts, averaged, strict=True):
            if not bool(torch.isfinite(keys).all()):
                raise EditingError(fact.edit_id, NOT_FINITE.format("keys"))
        current = there.outputs
        if self._method.averaged_throughout:
            current = projection(averaged.to(self._model.dtype)).to(averaged)
            if layer.updates:
                current = current + averaged @ layer.delta.T
        residuals = (wanted - current) / layers_left
        norm = mlp_norm_of(self._model, number)
        if norm is not None and not self._method.of_mlp:
            residuals = before_norm(norm, here.outputs, residuals)
        earlier = layer.updates if self._method.accumulates else ()
        with aside():
            left, right = self._method.rule(
                Insertion(
                    keys=averaged.T.double(),
                    plain_keys=here.inputs.T.double(),
                    residuals=residuals.T.double(),
                    second_moment=self._moments.second(number, averaged.device),
                    moment=self._moments.weighted(number, earlier, averaged.device),
                    ridge=self.hyperparameters.ridge,
                )
            )
        nothing = torch.empty(averaged.shape[1], 0)
        update = Update(
            left.float().cpu(),
            right.float().cpu(),
            averaged.T.cpu().contiguous() if self._method.accumulates else nothing,
            here.inputs.T.cpu().contiguous() if self._gate is Gate.CALIBRATED else nothing,
            tuple(fact.edit_id for fact in facts),
        )
        if not bool(torch.isfinite(update.left).all() and torch.isfinite(update.right).all()):
            raise ArithmeticError(f"the solve at layer {number} is not finite")
        return update

    def _averaged_keys(self, number: int, facts: Sequence[FactRequest], pin: Hooked) -> Tensor:
        """[n, d_in]: keys averaged over each group of contexts, then over the groups."""
        texts = [text for fact in facts for group in fact.contexts for text in group]
        keys = iter(self._states(texts, [down_projection_of(self._model, number)], pin)[0].inputs)
        means = []
        for fact in facts:
            groups = [torch.stack([next(keys) for _ in group]) for group in fact.contexts]
            if self._method.of_mlp:  # ROME's average knows no groups
                means.append(torch.cat(groups).mean(dim=0))
            else:
                means.append(torch.stack([group.mean(dim=0) for group in groups]).mean(dim=0))
        return torch.stack(means)

    def _states(
        self, texts: Sequence[SubjectText], modules: Sequence[nn.Module], pin: Hooked
    ) -> list[States]:
        return subject_states(self._model, texts, modules, self._splitting, pin)

    def _output_module(self, number: int) -> nn.Module:
        """What the targets are outputs of, at layer `number`."""
        if self._method.of_mlp:
            return down_projection_of(self._model, number)
        return layers_of(self._model)[number]
