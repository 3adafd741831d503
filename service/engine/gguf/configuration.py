"""The configuration of the model in a GGUF file, under the names of transformers."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from service.engine.gguf.facts import Facts
from service.engine.gguf.header import MODEL_TYPES, TOKENS, GgufFile
from service.engine.gguf.rotary import rope_parameters
from service.errors import StartupError

EMBEDDINGS, HEAD = "token_embd.weight", "output.weight"
# Of the layers whose attention slides: Gemma 3 files do not state it.
GEMMA3_LOCAL_THETA = 10_000.0
# The largest of each scales attention by its width, not by its heads' (llama.cpp tells them by
# their layers, too).
GEMMA_27B_LAYERS = {"gemma2": 46, "gemma3": 62}
SPECIAL_TOKENS = {"bos": "bos", "eos": "eos", "padding": "pad"}


def configuration_of(file: GgufFile) -> PretrainedConfig:
    """Raises `StartupError` for metadata that is missing, contradicts the weights' shapes or has no
    counterpart.
    """
    facts = Facts(file.metadata, file.architecture)
    vocabulary, width = _embeddings(file)
    context = facts.count("context_length")
    heads = facts.count("attention.head_count")
    fields: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "max_position_embeddings": context,
        "num_hidden_layers": file.layers,
        "num_attention_heads": heads,
        "tie_word_embeddings": HEAD not in file.tensors,
        "dtype": torch.float32,
        **{f"{ours}_token_id": special_token(file, name) for name, ours in SPECIAL_TOKENS.items()},
    }
    facts.expect("vocab_size", vocabulary)
    facts.expect("embedding_length", width)
    facts.expect("block_count", file.layers)
    facts.expect("rope.scaling.original_context_length", context)
    # Of no consequence: how Meta's own files order their weights, and that attention looks back.
    facts.take("tensor_data_layout")
    facts.expect("attention.causal", True)
    facts.expect("expert_count", 0)
    facts.expect("expert_used_count", 0)
    if file.architecture == "gpt2":
        fields |= _gpt2(facts)
    else:
        fields |= _rotary(file, facts, heads, width)
    facts.check_taken()
    config: PretrainedConfig = AutoConfig.for_model(MODEL_TYPES[file.architecture], **fields)
    _check_size(file, config)
    return config


def special_token(file: GgufFile, name: str) -> int | None:
    """Raises `StartupError` for one that is no token."""
    key = f"tokenizer.ggml.{name}_token_id"
    found = file.metadata.get(key)
    if found is not None and not (isinstance(found, int) and 0 <= found < _tokens(file)):
        raise StartupError(f"its metadata's {key} is {str(found)[:64]}, which is no token")
    return found


def _tokens(file: GgufFile) -> int:
    found = file.metadata.get(TOKENS)
    if not isinstance(found, list) or not found:
        raise StartupError(f"its metadata has no {TOKENS}: it holds no tokenizer")
    return len(found)


def _embeddings(file: GgufFile) -> tuple[int, int]:
    """Rows and columns."""
    shape = file.tensors.get(EMBEDDINGS, ())
    if len(shape) != 2 or _tokens(file) > shape[0]:
        raise StartupError(
            f"its {EMBEDDINGS} is of shape {list(shape)}, and it has {_tokens(file)} tokens"
        )
    return shape


def _gpt2(facts: Facts) -> dict[str, Any]:
    return {
        "n_inner": facts.count("feed_forward_length"),
        "layer_norm_epsilon": facts.number("attention.layer_norm_epsilon"),
    }


def _rotary(file: GgufFile, facts: Facts, heads: int, width: int) -> dict[str, Any]:
    """Returns what all architectures with rotary positions and RMS norms have."""
    size = facts.count("attention.key_length", width // heads)
    facts.expect("attention.value_length", size)
    facts.expect("rope.dimension_count", size)
    positions = rope_parameters(file, facts, size)
    fields: dict[str, Any] = {
        "intermediate_size": facts.count("feed_forward_length"),
        "num_key_value_heads": facts.count("attention.head_count_kv", heads),
        "head_dim": size,
        "rms_norm_eps": facts.number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": positions,
    }
    if file.architecture in GEMMA_27B_LAYERS:
        large = file.layers == GEMMA_27B_LAYERS[file.architecture]
        fields["query_pre_attn_scalar"] = width // heads if large else size
        fields["sliding_window"] = facts.count("attention.sliding_window")
    if file.architecture == "gemma2":
        fields["attn_logit_softcapping"] = facts.number("attn_logit_softcapping")
        fields["final_logit_softcapping"] = facts.number("final_logit_softcapping")
    if file.architecture == "gemma3":
        local = {"rope_type": "default", "rope_theta": GEMMA3_LOCAL_THETA}
        fields["rope_parameters"] = {"full_attention": positions, "sliding_attention": local}
    if file.architecture == "phi3" and "attention.sliding_window" in facts:
        fields["sliding_window"] = facts.count("attention.sliding_window")
    return fields


def _check_size(file: GgufFile, config: PretrainedConfig) -> None:
    """Raises `StartupError` unless the file holds exactly the weights that the configuration asks
    for, told from shapes alone: a bias too many would be left out without a word, and the room for
    weights that are not there be taken all the same.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = sum(weight.numel() for weight in model.parameters())
    if file.numbers != wanted:
        raise StartupError(
            f"its weights are {file.numbers:,} numbers, and a model of type '{config.model_type}' "
            f"with its metadata has {wanted:,}"
        )
