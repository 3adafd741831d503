"""Tiny random models of every architecture that can be edited."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 96
WIDTH = 32
LAYERS = 4
COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "tie_word_embeddings": False,
    # Large enough that a random model has opinions.
    "initializer_range": 0.2,
}
# These do not share keys and values between heads; what they are told of it, a cache would believe.
EVERY_HEAD: dict[str, Any] = {"num_key_value_heads": 4}
SPECIAL: dict[str, dict[str, Any]] = {
    "gpt2": EVERY_HEAD,
    "gpt_neox": EVERY_HEAD,
    "gptj": {"rotary_dim": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 8},
    "opt": {**EVERY_HEAD, "ffn_dim": 64, "word_embed_proj_dim": WIDTH, "init_std": 0.2},
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"sliding_window": 8, "query_pre_attn_scalar": 8},
    "mistral": {"sliding_window": 8},
}


def tiny(model_type: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **COMMON | SPECIAL.get(model_type, {}))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.eval().requires_grad_(False)
    return model
