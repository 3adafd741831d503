"""The baseline of GRACE's speed: the loop that research scripts run."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.grace import GraceHyperparameters
from service.editing.requests import EditRequest
from service.editing.taps import after
from tests.bench.machine import now
from tests.bench.pace import Pace


def pace(
    model: PreTrainedModel, parameters: GraceHyperparameters, requests: Sequence[EditRequest]
) -> Pace:
    """One edit after the other. Writing a value under its key is no work."""
    started = now()
    for request in requests:
        optimise(model, parameters, request)
    ended = now()
    return Pace.between(started, ended, ended, len(requests))


def optimise(
    model: PreTrainedModel, parameters: GraceHyperparameters, request: EditRequest
) -> tuple[Tensor, Tensor]:
    """Optimises one edit's values as `service.editing.grace` does, by a full forward and backward
    pass over prompt and target, with all logits, at every step. Returns keys and values.
    """
    first = request.phrasings[0]
    prompt, target = first.prompt, first.learned
    ids = torch.tensor([[*prompt, *target]], device=model.device)
    wanted = torch.tensor(target, device=model.device)
    module = layers_of(model)[parameters.layer].get_submodule(parameters.module)
    at = slice(len(prompt) - 1, len(prompt) + len(target) - 1)
    seen: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad(), after({module: lambda args, output: seen.append((args[0], output))}):
        model(input_ids=ids)
    inputs, outputs = seen[0]
    values = outputs[0, at].clone().requires_grad_()
    optimizer = torch.optim.Adam([values], lr=parameters.learning_rate)

    def place(_args: object, output: Tensor) -> Tensor:
        return torch.cat([output[:, : at.start], values[None], output[:, at.stop :]], dim=1)

    for _ in range(parameters.steps):
        with after({module: place}):
            logits = model(input_ids=ids).logits[0]
        loss = cross_entropy(logits[at], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return inputs[0, at], values.detach()
