"""Whether a configuration, the weights beside it and the settings belong together."""

import re
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from service.editing.architectures import architecture_of, layers_of
from service.engine.checkpoint import first_line, some
from service.errors import StartupError


def check_attention(config: PretrainedConfig, name: str, dtype: torch.dtype) -> None:
    """Raises `StartupError` for an implementation of attention that can't be had."""
    setting = f"ERRATA_ATTN_IMPLEMENTATION '{name}'"
    if name.startswith("flash") and dtype is torch.float32:
        raise StartupError(f"{setting} takes 16 bits: set ERRATA_DTYPE to bfloat16 or float16")
    try:
        with torch.device("meta"):
            AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=name)
    except (ImportError, ValueError, RuntimeError) as error:
        raise StartupError(f"{setting} can't be used: {first_line(error)}") from error


def check_fit(model: PreTrainedModel, found: dict[str, Any]) -> None:
    """Raises `ValueError` unless the weights are those that the configuration asks for: what is
    missing would be drawn at random, and layers too many left out. `found` is what transformers
    tells of it.
    """
    if found["missing_keys"]:
        raise ValueError(f"its weights lack {some(sorted(found['missing_keys']))}")
    if found["mismatched_keys"]:
        name, has, wanted = min(found["mismatched_keys"])
        raise ValueError(
            f"its weight {name} is of shape {list(has)}, and config.json asks for {list(wanted)}"
            + _others(len(found["mismatched_keys"]) - 1)
        )
    if found["error_msgs"]:
        raise ValueError(str(found["error_msgs"][0]))
    count = len(layers_of(model))
    numbered = re.compile(rf"(^|\.){architecture_of(model).layers.rpartition('.')[2]}\.(\d+)\.")
    numbers = [numbered.search(name) for name in found["unexpected_keys"]]
    beyond = max((int(match[2]) for match in numbers if match), default=0)
    if beyond >= count:
        raise ValueError(f"its weights have layers up to {beyond}, and config.json {count} layers")


def embeddings_of(model: PreTrainedModel) -> int:
    """How many tokens the model has embeddings for."""
    return len(cast("Tensor", model.get_input_embeddings().weight))


def _others(count: int) -> str:
    return f" ({count} others differ too)" if count else ""
