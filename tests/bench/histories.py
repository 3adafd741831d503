"""Overlays of many edits that nobody optimised: only their size is meant."""

import torch
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, weight_of
from service.editing.codebook import Codebook, Rows, Site, Target
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.locate_hyperparameters import LocateHyperparameters

BATCH = 50  # edits whose updates a hook layer keeps together
FAR = 100.0  # how long random keys are made: no query comes near them
VOCABULARY = 4_096  # tokens that labels are made of; no model has fewer
FAINT = 1e-6  # how little hook layers change: the model says what it said


def codebook(site: Site, radius: float, like: Target, edits: int) -> Codebook:
    """As many edits as that, each with as many keys as `like`, all of them apart."""
    count = edits * len(like.keys)
    generator = torch.Generator().manual_seed(0)
    rows = Rows(
        index=tuple(range(count)),
        keys=torch.randn(count, like.keys.shape[1], generator=generator) * FAR,
        values=torch.randn(count, like.values.shape[1], generator=generator),
        radii=torch.full((count,), radius),
        labels=tuple((number % VOCABULARY,) for number in range(count)),
        owners=tuple(1 + number // len(like.keys) for number in range(count)),
    )
    return Codebook.empty().with_rows(site, rows)


def hook_layers(
    model: PreTrainedModel, parameters: LocateHyperparameters, gate: Gate, edits: int
) -> HookLayers:
    generator = torch.Generator().manual_seed(0)
    state = HookLayers(gate, {})
    for number in parameters.layers:
        d_out, d_in = weight_of(down_projection_of(model, number)).shape
        updates = tuple(
            Update(
                left=torch.randn(d_out, BATCH, generator=generator) * FAINT,
                right=torch.randn(d_in, BATCH, generator=generator),
                keys=torch.randn(d_in, BATCH, generator=generator),
                plain_keys=torch.randn(d_in, BATCH, generator=generator),
            )
            for _ in range(edits // BATCH)
        )
        layer = HookLayer(updates, alpha=parameters.alpha, deviation=1.0)
        state = state.with_layer(number, layer)
    return state
