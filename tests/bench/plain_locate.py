"""The baseline of locate-and-edit's speed: what the methods' research scripts do, edit by edit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, layers_of, weight_of
from service.editing.key_statistics import KeyStatistics
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.method import Method
from service.editing.moments import Moments
from service.editing.requests import EditRequest, FactRequest
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states
from service.editing.update_rules import ROME_RIDGE, Insertion
from tests.bench import plain_target
from tests.bench.machine import now
from tests.bench.pace import Pace


class PlainLocate:
    """One method on a model whose MLPs' outputs are added as they are. An edit changes the weights
    in place; CoachHook's gate, which costs one pass more, is left out.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        method: Method,
        parameters: LocateHyperparameters,
        statistics: Mapping[int, KeyStatistics],
    ) -> None:
        self._model = model
        self._method = method
        self._parameters = parameters
        self._moments = Moments(statistics, parameters.second_moment_weight)
        last = parameters.layers[-1]
        self._last = down_projection_of(model, last) if method.of_mlp else layers_of(model)[last]
        if method.one_by_one:  # ROME's script makes it once and keeps it
            moment = self._moments.second(last, model.device)
            moment.diagonal().add_(ROME_RIDGE)
            self._inverse: Tensor = torch.linalg.inv(moment)

    def pace(self, requests: Sequence[EditRequest]) -> Pace:
        """One edit after the other; in the end the weights are as they were."""
        targets = inserts = 0.0
        with self._restored():
            for request in requests:
                assert request.fact is not None
                started = now()
                target = plain_target.optimise(
                    self._model, self._last, request.fact, self._parameters
                )
                optimised = now()
                self._insert(request.fact, target)
                targets += optimised - started
                inserts += now() - optimised
        return Pace(targets / len(requests), inserts / len(requests))

    @torch.no_grad()
    def _insert(self, fact: FactRequest, target: Tensor) -> None:
        """Layer after layer, the keys and the residual by full forward passes of their own."""
        texts = [text for group in fact.contexts for text in group]
        layers = self._parameters.layers
        for position, number in enumerate(layers):
            projection = down_projection_of(self._model, number)
            found = subject_states(self._model, texts, [projection], Splitting())[0].inputs
            # ROME's average knows no groups.
            sizes = [len(texts)] if self._method.of_mlp else [len(g) for g in fact.contexts]
            keys = torch.stack([group.mean(dim=0) for group in found.split(sizes)])
            keys = keys.mean(dim=0, keepdim=True)
            here, there = subject_states(
                self._model, [fact.plain], [projection, self._last], Splitting()
            )
            throughout = self._method.averaged_throughout
            current = projection(keys) if throughout else there.outputs
            residuals = (target - current) / (len(layers) - position)
            sides = (keys, keys if throughout else here.inputs, residuals)
            change = self._change(number, *(side.T.double() for side in sides))
            weight_of(projection).add_(change.float())

    def _change(self, number: int, keys: Tensor, plain_keys: Tensor, residuals: Tensor) -> Tensor:
        """[d_out, d_in] of keys [d_in, 1] and residuals [d_out, 1], float64."""
        if self._method.one_by_one:
            direction = self._inverse @ keys
            return residuals @ direction.T / (plain_keys * direction).sum()
        moment = self._moments.weighted(number, (), keys.device)
        ridge = self._parameters.ridge
        insertion = Insertion(keys, plain_keys, residuals, moment, moment, ridge)
        left, right = self._method.rule(insertion)
        return left @ right.T

    @contextmanager
    def _restored(self) -> Iterator[None]:
        layers = self._parameters.layers
        weights = [weight_of(down_projection_of(self._model, number)) for number in layers]
        kept = [weight.clone() for weight in weights]
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, own in zip(weights, kept, strict=True):
                    weight.copy_(own)
