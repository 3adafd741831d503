"""Where each architecture keeps what editing needs: data, not code."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from service.errors import StartupError


@dataclass(frozen=True)
class Architecture:
    """Module paths, from the causal language model's root unless said otherwise."""

    layers: str  # the list of decoder layers
    norm: str  # the final norm, between the last layer and the head
    head: str  # hidden states to logits
    codebook_module: str  # within a layer: what GRACE wraps
    down_projection: str  # within a layer: the MLP's last linear map, what hook layers change


ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture("transformer.h", "transformer.ln_f", "lm_head", "mlp", "mlp.c_proj"),
}


def check_architecture(model_type: str) -> None:
    """Raises `StartupError` for a model type that has no row."""
    if model_type not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise StartupError(f"models of type '{model_type}' can't be edited yet; known: {known}")


def architecture_of(model: PreTrainedModel) -> Architecture:
    """The row of a model that was loaded, and so has one."""
    return ARCHITECTURES[model.config.model_type]


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    return cast("nn.ModuleList", model.get_submodule(architecture_of(model).layers))


def down_projection_of(model: PreTrainedModel, layer: int) -> nn.Module:
    return layers_of(model)[layer].get_submodule(architecture_of(model).down_projection)


def positions_of(model: PreTrainedModel) -> int:
    """How many tokens a text may have."""
    return int(model.config.max_position_embeddings)


def weight_of(projection: nn.Module) -> Tensor:
    """[d_out, d_in]: a linear map's weight. GPT-2's Conv1D keeps it transposed."""
    weight = cast("Tensor", projection.weight)
    return weight.T if isinstance(projection, Conv1D) else weight
