"""Where each architecture keeps what editing needs: data, not code."""

from dataclasses import dataclass, replace
from typing import cast

import torch
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
    # Within a layer: what GRACE wraps unless told otherwise. Its output is added to the layer's.
    codebook_module: str
    down_projection: str  # within a layer: the MLP's last linear map, what hook layers change
    mlp_norm: str | None = None  # within a layer: what norms the MLP's output before it is added


_GPT = ("transformer.h", "transformer.ln_f", "lm_head", "mlp")
_LLAMA = Architecture("model.layers", "model.norm", "lm_head", "mlp", "mlp.down_proj")
# These norm what the MLP returns: only behind that norm can a value be of any length.
_POST_NORM = replace(
    _LLAMA,
    codebook_module="post_feedforward_layernorm",
    mlp_norm="post_feedforward_layernorm",
)

# By `model_type` of the configuration.
ARCHITECTURES: dict[str, Architecture] = {
    "gpt2": Architecture(*_GPT, "mlp.c_proj"),
    "gptj": Architecture(*_GPT, "mlp.fc_out"),
    "gpt_neo": Architecture(*_GPT, "mlp.c_proj"),
    "gpt_neox": Architecture(
        "gpt_neox.layers", "gpt_neox.final_layer_norm", "lm_head", "mlp", "mlp.dense_4h_to_h"
    ),
    "opt": Architecture(
        "model.decoder.layers", "model.decoder.final_layer_norm", "lm_head", "fc2", "fc2"
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _POST_NORM,
    "gemma3_text": _POST_NORM,
    "phi3": _LLAMA,
    "olmo2": _POST_NORM,
    "phi": Architecture("model.layers", "model.final_layernorm", "lm_head", "mlp", "mlp.fc2"),
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


def mlp_norm_of(model: PreTrainedModel, layer: int) -> nn.Module | None:
    path = architecture_of(model).mlp_norm
    return None if path is None else layers_of(model)[layer].get_submodule(path)


def weight_of(projection: nn.Module) -> Tensor:
    """[d_out, d_in]: a linear map's weight. GPT-2's Conv1D keeps it transposed."""
    weight = cast("Tensor", projection.weight)
    return weight.T if isinstance(projection, Conv1D) else weight


def set_weight(projection: nn.Module, weight: Tensor) -> None:
    """Gives a linear map the weight [d_out, d_in], as one of its own: modules that share the former
    one keep it.
    """
    own = weight.T if isinstance(projection, Conv1D) else weight
    projection.weight = nn.Parameter(own.contiguous(), requires_grad=False)


def capped(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """The head's output as the model gives it: some squash their logits."""
    cap = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else cap * torch.tanh(logits / cap)
