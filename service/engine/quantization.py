"""Weights in 8 or 4 bits, by bitsandbytes. GRACE alone takes them: hook layers change weights by
closed forms, and need those as they are.
"""

import logging
from typing import Any, Literal

import torch
from transformers import BitsAndBytesConfig, PretrainedConfig, PreTrainedModel

from service.engine.placement import need

Quantization = Literal["8bit", "4bit"]
BITS = {"8bit": 8, "4bit": 4}
METHOD = "bitsandbytes"
SETTING = "ERRATA_QUANTIZATION"


def quantized_by(kind: Quantization, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Raises `StartupError` if bitsandbytes is not installed."""
    for package in (METHOD, "accelerate"):
        need(package, f"{SETTING} '{kind}'", "quantized")
    logging.getLogger(METHOD).setLevel(logging.ERROR)  # it warns of its own casts at every pass
    if kind == "8bit":
        # Its threshold would choose columns for 16 bits by all texts of a pass, so that a text
        # depends on its neighbours.
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


@torch.no_grad()
def settle(model: PreTrainedModel) -> None:
    """Keeps what bitsandbytes does at first passes from those that serve and edit."""
    for module in model.modules():
        # On CPUs with bfloat16 in AVX-512 it would pack 4-bit weights anew, for a kernel that lets
        # no gradient through.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # typed as a weight
    # It moves 8-bit weights to another place, which two threads must not do at once.
    model(torch.zeros(1, 1, dtype=torch.long, device=model.device))


def check_stored(config: PretrainedConfig) -> None:
    """Raises `ValueError` for weights that were quantised before they were stored."""
    stored: Any = getattr(config, "quantization_config", None)
    if stored is None:
        return
    method = stored.get("quant_method") if isinstance(stored, dict) else stored.quant_method
    raise ValueError(
        f"its weights are stored quantised ('{method}'): take the model's own weights, and "
        f"{SETTING} to quantise them while they are loaded"
    )
