"""The baseline of editing speed: the loop that research scripts run."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.grace import GraceHyperparameters
from service.editing.requests import EditRequest
from service.editing.taps import after


def grace(
    model: PreTrainedModel, parameters: GraceHyperparameters, request: EditRequest
) -> tuple[Tensor, Tensor]:
    """Optimises one edit's values as `service.editing.grace` does, by a full forward and backward
    pass over prompt and target, with all logits, at every step. Returns keys and values.
    """
    prompt, target = request.prompts[0], request.targets[0]
    ids = torch.tensor([[*prompt, *target]])
    module = layers_of(model)[parameters.layer].get_submodule(parameters.module)
    at = slice(len(prompt) - 1, len(prompt) + len(target) - 1)
    seen: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad(), after({module: lambda args, output: seen.append((args[0], output))}):
        model(input_ids=ids)
    inputs, outputs = seen[0]
    values = outputs[0, at].clone().requires_grad_()
    optimizer = torch.optim.Adam([values], lr=parameters.learning_rate)

    def place(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        return torch.cat([output[:, : at.start], values[None], output[:, at.stop :]], dim=1)

    hook = module.register_forward_hook(place)
    try:
        for _ in range(parameters.steps):
            logits = model(input_ids=ids).logits[0]
            loss = cross_entropy(logits[at], torch.tensor(target))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    finally:
        hook.remove()
    return inputs[0, at], values.detach()


def requests_one_by_one(
    model: PreTrainedModel, parameters: GraceHyperparameters, requests: Sequence[EditRequest]
) -> None:
    for request in requests:
        grace(model, parameters, request)
