"""Where each architecture keeps what editing needs: data, not code."""

from dataclasses import dataclass
from typing import cast

from torch import nn
from transformers import PreTrainedModel

from service.errors import StartupError


@dataclass(frozen=True)
class Architecture:
    """Module paths, from the causal language model's root unless said otherwise."""

    layers: str  # the list of decoder layers
    norm: str  # the final norm, between the last layer and the head
    head: str  # hidden states to logits
    codebook_module: str  # within a layer: what GRACE wraps


ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture("transformer.h", "transformer.ln_f", "lm_head", "mlp.c_fc"),
}


def architecture_of(model: PreTrainedModel) -> Architecture:
    """Raises `StartupError` for a model type that has no row."""
    try:
        return ARCHITECTURES[model.config.model_type]
    except KeyError:
        raise StartupError(
            f"models of type '{model.config.model_type}' can't be edited yet; "
            f"known: {', '.join(sorted(ARCHITECTURES))}"
        ) from None


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    return cast("nn.ModuleList", model.get_submodule(architecture_of(model).layers))


def positions_of(model: PreTrainedModel) -> int:
    """How many tokens a text may have."""
    return int(model.config.max_position_embeddings)
