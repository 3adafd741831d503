"""Locate-and-edit: target hidden states, keys and residuals become weight changes of a few layers.

One machine for MEMIT, CoachHook, EMMET, ROME and R-ROME. They differ in their update rule, their
gate, whether a batch goes in at once or edit by edit, and in whether the shift is counted against a
layer's output or its MLP's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.domain.batches import LayerMetrics
from service.domain.edits import Correction
from service.editing.architectures import (
    down_projection_of,
    layers_of,
    mlp_norm_of,
    weight_of,
)
from service.editing.arithmetic import CURRENT, Arithmetic
from service.editing.facts import fact_request
from service.editing.hidden_targets import Mlp, optimise_shift
from service.editing.hook_layer import HookLayers
from service.editing.hooked import Hooked
from service.editing.hooks_change import HooksChange
from service.editing.key_statistics import KeyStatistics
from service.editing.layerwise import LayerwiseInsertion
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.method import Method
from service.editing.moments import Moments
from service.editing.requests import (
    EditRequest,
    FactRequest,
    FactTarget,
    Phrasing,
    edit_request,
    templated,
)
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states
from service.editing.taps import tap
from service.errors import EditingError

# Beside its hyperparameters, what else an editor needs to be built again is recorded under:
STATISTICS = "statistics"
TEMPLATES = "templates"
ARITHMETIC = "arithmetic"
BESIDE_HYPERPARAMETERS = (STATISTICS, TEMPLATES, ARITHMETIC)
Templates = Sequence[Sequence[str]]


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
        arithmetic: Arithmetic = CURRENT,
    ) -> None:
        self.name = method.name
        self.hyperparameters = hyperparameters
        self._model = model
        self._method = method
        self._gate = method.gate(hyperparameters)
        self._statistics = statistics
        self._templates = templates
        self._splitting = splitting or Splitting()
        self._arithmetic = arithmetic
        moments = Moments(statistics, hyperparameters.second_moment_weight, arithmetic)
        self._insertion = LayerwiseInsertion(
            model, method, hyperparameters, statistics, moments, self._splitting, arithmetic
        )
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
            ARITHMETIC: self._arithmetic,
        }

    def request(
        self,
        tokenizer: PreTrainedTokenizerBase,
        edit_id: int,
        correction: Correction,
        phrasings: Sequence[Phrasing],
    ) -> EditRequest:
        position = self.hyperparameters.position
        target = phrasings[0].learned
        with templated(edit_id):
            try:
                fact = fact_request(
                    tokenizer, edit_id, correction, target, self._templates, position
                )
            except ValueError as error:
                raise EditingError(edit_id, f"its subject {error}") from error
            return edit_request(tokenizer, edit_id, correction, phrasings, fact)

    def empty(self) -> HookLayers:
        """The overlay of no edits."""
        return HookLayers(self._gate, {})

    def targets(
        self, state: HookLayers | None, requests: Sequence[EditRequest]
    ) -> tuple[list[FactTarget], list[EditingError]]:
        """Optimises every request's target under the hooks of `state`. Returns the targets, in
        order, and the edits whose target or keys are not finite or can't be solved for.
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
                    errors.append(EditingError(target.edit_id, "its targets are not finite"))
            if self._method.one_by_one and sound:  # the next one's is found with this one in
                try:
                    state = self._inserted(state, sound)
                except EditingError as error:
                    errors.append(error)
                    continue
            found += sound
        return found, errors

    def insert(self, state: HookLayers | None, targets: Sequence[FactTarget]) -> HookLayers | None:
        """Inserts the targets by the method's rule; no gradient step. Raises `EditingError` for an
        edit whose keys are not finite, `ArithmeticError` where the solve of several is not.
        """
        if not targets:
            return state
        device = self._model.device
        grown = (state or self.empty()).to(device)
        for part in [[t] for t in targets] if self._method.one_by_one else [targets]:
            grown = self._inserted(grown, part)
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

    def _inserted(self, state: HookLayers, targets: Sequence[FactTarget]) -> HookLayers:
        """Inserts the targets in one solve, whose fault is the edit's where there is but one."""
        try:
            return self._insertion.insert(state, targets)
        except ArithmeticError as error:
            if len(targets) > 1:
                raise
            raise EditingError(targets[0].edit_id, str(error)) from error

    def _weight(self, number: int) -> Tensor:
        return weight_of(down_projection_of(self._model, number)).float()

    def _residuals(self, state: HookLayers, targets: Sequence[FactTarget]) -> Tensor:
        """[n]: how far each edit's hidden state is from its target, in lengths of the target."""
        wanted = torch.stack([target.state for target in targets]).to(self._model.device)
        current = self._current(state.to(self._model.device), [t.request for t in targets])
        distances: Tensor = torch.linalg.vector_norm(wanted - current, dim=1)
        lengths: Tensor = torch.linalg.vector_norm(wanted, dim=1)
        return distances / lengths

    def _optimised(self, state: HookLayers, facts: Sequence[FactRequest]) -> list[FactTarget]:
        last = self.hyperparameters.layers[-1]
        current = self._current(state, facts)
        norm = mlp_norm_of(self._model, last) if self._method.of_mlp else None
        shifts = optimise_shift(
            self._model,
            last,
            facts,
            torch.linalg.vector_norm(current, dim=1),
            self.hyperparameters,
            self._splitting,
            Hooked.by(self._model, state),
            None if norm is None else Mlp(down_projection_of(self._model, last), norm),
        )
        targets = (current + shifts).cpu()
        return [FactTarget(fact, target) for fact, target in zip(facts, targets, strict=True)]

    def _current(self, state: HookLayers, facts: Sequence[FactRequest]) -> Tensor:
        """[n, d]: what the facts' subjects have under `state` where their targets are to be."""
        module = self._method.output_module(self._model, self.hyperparameters.layers[-1])
        pin = Hooked.by(self._model, state)
        (states,) = subject_states(
            self._model, [fact.plain for fact in facts], [module], self._splitting, pin
        )
        return states.outputs
