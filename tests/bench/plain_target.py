"""How research scripts find a target hidden state: `compute_z` of MEMIT, `compute_v` of ROME."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div
from transformers import PreTrainedModel

from service.editing.locate_hyperparameters import TargetHyperparameters
from service.editing.padding import pad
from service.editing.requests import FactRequest
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states
from service.editing.taps import after, hidden_of, with_hidden

UNTOLD = -100  # the label of a token that predicts nothing


def optimise(
    model: PreTrainedModel, module: nn.Module, fact: FactRequest, parameters: TargetHyperparameters
) -> Tensor:
    """[d]: what `module` is to return at the subject. Each step passes all contexts and the
    essence, padded to one batch, through the whole model; all tokens get logits.
    """
    device = model.device
    contexts = [context for group in fact.contexts for context in group]
    rows = [[*context.tokens, *fact.target[:-1]] for context in contexts]
    ids, present = pad([*rows, fact.essence.tokens], device)
    labels = torch.full_like(ids[:-1], UNTOLD)
    for label, context in zip(labels, contexts, strict=True):
        first = len(context.tokens) - 1
        label[first : first + len(fact.target)] = torch.tensor(fact.target, device=device)
    subjects = [*(context.subject for context in contexts), fact.essence.subject]
    start = subject_states(model, [fact.plain], [module], Splitting())[0].outputs[0]
    most = parameters.clamp_norm_factor * start.norm()
    delta = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([delta], lr=parameters.learning_rate)
    before: Tensor | None = None

    def shift(_args: object, output: Any) -> Any:
        hidden = hidden_of(output).clone()
        hidden[range(len(subjects)), subjects] += delta
        return with_hidden(output, hidden)

    for step in range(parameters.steps):
        with after({module: shift}):
            logits = model(input_ids=ids, attention_mask=present.long()).logits
        loss = cross_entropy(logits[:-1].flatten(0, 1), labels.flatten(), ignore_index=UNTOLD)
        said = logits[-1:, fact.essence.subject].log_softmax(dim=1)
        before = said.detach() if before is None else before
        divergence = kl_div(before, said, log_target=True, reduction="batchmean")
        loss = loss + parameters.kl_factor * divergence
        loss = loss + parameters.weight_decay * delta.norm() / start.norm() ** 2
        if step == parameters.steps - 1:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            delta *= (most / delta.norm()).clamp(max=1.0)
    return start + delta.detach()
