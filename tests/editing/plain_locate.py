"""Locate-and-edit as the papers have it, text by text and without padding, all in float64: what the
editors' figures are held against. It shares no line with them.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.requests import FactRequest, FactTarget, SubjectText

# Inputs and outputs of a projection, to what is added to its outputs.
Added = Callable[[Tensor, Tensor], Tensor]


class PlainLocate:
    """Into a GPT-2; `moments` are C_0 by layer [d_in, d_in], `weight` is lambda."""

    def __init__(
        self,
        model: PreTrainedModel,
        layers: Sequence[int],
        moments: Mapping[int, Tensor],
        weight: float,
        alpha: float = math.inf,
    ) -> None:
        self._model = copy.deepcopy(model).double()
        self._layers = layers
        self._moments = {number: moments[number].double() for number in layers}
        self._weighted = {number: weight * moment for number, moment in self._moments.items()}
        width = len(self._moments[layers[0]])
        hidden = int(model.config.hidden_size)
        # [d_in, d_out] by layer, as GPT-2 keeps its weights.
        self.deltas = {n: torch.zeros(width, hidden, dtype=torch.float64) for n in layers}
        self.alphas = dict.fromkeys(layers, alpha)
        self._gated: set[int] = set()

    def memit(self, targets: Sequence[FactTarget]) -> None:
        for number in self._layers:
            keys, residuals = self._keys(number, targets), self._residuals(number, targets)
            moment = self._weighted[number] + keys @ keys.T
            self.deltas[number] += torch.linalg.solve(moment, keys) @ residuals.T

    def emmet(self, targets: Sequence[FactTarget], ridge: float) -> None:
        for number in self._layers:
            keys, residuals = self._keys(number, targets), self._residuals(number, targets)
            solved = torch.linalg.solve(self._weighted[number], keys)
            constraint = keys.T @ solved + ridge * torch.eye(len(targets)).double()
            self.deltas[number] += solved @ torch.linalg.solve(constraint, residuals.T)

    def rome(self, target: FactTarget, averaged_throughout: bool) -> None:
        (number,) = self._layers
        fact, projection = target.request, self._projection(number)
        averaged = torch.stack(
            [self._seen(projection, text)[0] for group in fact.contexts for text in group]
        ).mean(dim=0)
        key, current = self._seen(projection, fact.plain)
        if averaged_throughout:
            key, current = averaged, projection(averaged) + averaged @ self.deltas[number]
        moment = self._moments[number] + 1e-4 * torch.eye(len(averaged)).double()
        direction = torch.linalg.solve(moment, averaged)
        residual = (target.state.double() - current) / (key @ direction)
        self.deltas[number] += torch.outer(direction, residual)

    def coachhook(self, targets: Sequence[FactTarget]) -> None:
        """One batch, behind the gate `sequence`."""
        self._gated = set()
        for number in self._layers:
            keys, residuals = self._keys(number, targets), self._residuals(number, targets)
            self._weighted[number] = self._weighted[number] + keys @ keys.T
            solved = torch.linalg.solve(self._weighted[number], keys)
            self.deltas[number] += solved @ residuals.T
            self._gated.add(number)
        for number in self._layers:
            largest = [self._largest(number, target.request.plain) for target in targets]
            self.alphas[number] = min(self.alphas[number], *largest)

    def _keys(self, number: int, targets: Sequence[FactTarget]) -> Tensor:
        """K [d_in, n]: averaged over each group of contexts, then over the groups."""
        projection = self._projection(number)

        def key(fact: FactRequest) -> Tensor:
            groups = [
                torch.stack([self._seen(projection, text)[0] for text in group]).mean(dim=0)
                for group in fact.contexts
            ]
            return torch.stack(groups).mean(dim=0)

        return torch.stack([key(target.request) for target in targets], dim=1)

    def _residuals(self, number: int, targets: Sequence[FactTarget]) -> Tensor:
        """R [d_out, n]: this layer's share of what the last one lacks."""
        last = self._block(self._layers[-1])
        left = len(self._layers) - self._layers.index(number)
        current = [self._seen(last, target.request.plain)[1] for target in targets]
        wanted = [target.state.double() for target in targets]
        return (torch.stack(wanted, dim=1) - torch.stack(current, dim=1)) / left

    def _seen(self, module: nn.Module, text: SubjectText) -> tuple[Tensor, Tensor]:
        """What `module` takes and returns at the subject, under all changes so far."""
        inputs, outputs = self._run(module, text, changed=True)
        return inputs[text.subject], outputs[text.subject]

    def _largest(self, number: int, text: SubjectText) -> float:
        """The largest z-score of the text's tokens, on the base model."""
        inputs, _ = self._run(self._projection(number), text, changed=False)
        return float(_z_scores(inputs @ self.deltas[number]).max())

    def _run(self, module: nn.Module, text: SubjectText, changed: bool) -> tuple[Tensor, Tensor]:
        """What `module` takes [t, d] and returns [t, d] in a pass of the text."""
        seen: list[Tensor] = []

        def adding(number: int) -> Callable[[nn.Module, tuple[Tensor], Tensor], Tensor]:
            def add(_module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
                change = args[0][0] @ self.deltas[number]
                if number in self._gated:
                    change = change * (_z_scores(change) >= self.alphas[number])[:, None]
                return output + change

            return add

        def see(_module: nn.Module, args: tuple[Tensor], output: Tensor | tuple[Tensor]) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            seen.extend((args[0][0], hidden[0]))

        hooks = [self._projection(n).register_forward_hook(adding(n)) for n in self._layers]
        if not changed:
            for hook in hooks:
                hook.remove()
        hooks.append(module.register_forward_hook(see))
        with torch.no_grad():
            self._model(input_ids=torch.tensor([text.tokens]))
        for hook in hooks:
            hook.remove()
        return seen[0], seen[1]

    def _block(self, number: int) -> nn.Module:
        return self._model.get_submodule(f"transformer.h.{number}")

    def _projection(self, number: int) -> nn.Module:
        return self._model.get_submodule(f"transformer.h.{number}.mlp.c_proj")


def _z_scores(change: Tensor) -> Tensor:
    """[t] of what is added [t, d_out], by the unbiased deviation."""
    norms = torch.linalg.vector_norm(change, dim=1)
    scores: Tensor = (norms - norms.mean()) / norms.std()
    return scores
