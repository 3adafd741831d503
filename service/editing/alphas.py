"""How the gates of hook layers are set once a batch is in."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.gates import Tokens, z_scores
from service.editing.hook_layer import HookLayer, HookLayers
from service.editing.key_statistics import KeyStatistics
from service.editing.requests import SubjectText
from service.editing.splitting import Splitting
from service.editing.subject_states import TokenInputs, token_inputs

# How far alpha stays below the score that sets it: rounding must not shut the gate on that prompt.
TIE = 1e-5


@torch.no_grad()
def lowered(
    model: PreTrainedModel,
    state: HookLayers,
    numbers: Sequence[int],
    prompts: Sequence[SubjectText],
    splitting: Splitting,
) -> HookLayers:
    """The gate `sequence`: lowers each layer's alpha to the least, over the batch's prompts, of the
    largest z-score in the prompt, measured on the base model, so that it opens for every edit of
    the batch. Li et al. 2024, section 3. In a prompt that names its subject several times it is to
    open at each of these places.
    """
    modules = [down_projection_of(model, number) for number in numbers]

    def opening_scores(part: list[int]) -> list[Tensor]:
        some = [prompts[i] for i in part]
        found = token_inputs(model, some, modules)
        return [
            _opening(state.layers[number], tokens, number, some)
            for number, tokens in zip(numbers, found, strict=True)
        ]

    parts = splitting.over([len(prompt.tokens) for prompt in prompts], opening_scores)
    for number, scores in zip(numbers, zip(*parts, strict=True), strict=True):
        layer = state.layers[number]
        opening = torch.cat(scores)
        opening = opening[opening.isfinite()]  # a prompt without scores sets no alpha
        if len(opening):
            alpha = min(layer.alpha, float(opening.min()) - TIE)
            state = state.with_layer(number, layer.behind(alpha, layer.mean, layer.deviation))
    return state


def _opening(
    layer: HookLayer, tokens: TokenInputs, number: int, texts: Sequence[SubjectText]
) -> Tensor:
    """[n]: the score at which the gate opens for each text; minus infinity where there is none."""
    norms = torch.linalg.vector_norm(tokens.inputs @ layer.delta.T, dim=2)
    scores = z_scores(norms, Tokens.whole(tokens.present), number)
    scores = scores.masked_fill(~tokens.present | scores.isnan(), -torch.inf)
    opening: Tensor = scores.amax(dim=1)
    for row, text in enumerate(texts):
        if text.earlier:
            places = scores[row, list(text.subjects)]
            # A place where the change is weaker than on average would open the gate to all texts.
            places = places[places > 0]
            if len(places):
                opening[row] = places.min()
    return opening


@torch.no_grad()
def calibrated(
    state: HookLayers, number: int, statistics: KeyStatistics, quantile: float
) -> HookLayers:
    """The gate `calibrated` of one layer: a z-score against mean and deviation of the change's norm
    on unrelated text, and as alpha the `quantile` of that score at the subjects of all edits so
    far.
    """
    layer = state.layers[number]
    unrelated = statistics.keys.to(layer.delta) @ layer.delta.T
    norms = torch.linalg.vector_norm(unrelated, dim=1).double()
    mean, deviation = float(norms.mean()), float(norms.std())
    keys = torch.cat([update.plain_keys for update in layer.updates], dim=1).to(layer.delta)
    scores = (torch.linalg.vector_norm(layer.delta @ keys, dim=0) - mean) / deviation
    alpha = float(scores.quantile(quantile)) - TIE
    return state.with_layer(number, layer.behind(alpha, mean, deviation))
