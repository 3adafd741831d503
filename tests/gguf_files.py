"""GGUF files of the tiny random models, as llama.cpp's converter would write them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from gguf import (
    MODEL_ARCH_NAMES,
    GGMLQuantizationType,
    GGUFValueType,
    GGUFWriter,
    get_tensor_name_map,
)
from transformers import PreTrainedModel

from service.engine.gguf.header import MODEL_TYPES
from tests.tiny import LAYERS, VOCABULARY, tiny

TIED = ("gemma2", "gemma3")  # their files have no head: it always is the embeddings
NORMAL, CONTROL = 1, 3  # kinds of tokens
END, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [END, START_OF_TURN, END_OF_TURN]
# Spaces are Ġ in byte-level vocabularies, line breaks Ċ.
CHARACTERS = "ĠĊabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!:'"
MERGES = ["Ġ Ġ", "Ċ Ċ", "t h", "th e", "Ġ the", "1 2"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass
class Content:
    architecture: str
    model: PreTrainedModel
    metadata: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)

    def write(self, path: Path, **changes: Any) -> Path:
        """Writes the file with entries of the metadata changed, dots in their names spelt `__`;
        None leaves one out.
        """
        named = {name.replace("__", "."): value for name, value in changes.items()}
        return write(path, self.architecture, {**self.metadata, **named}, self.tensors)

    def weighing(self, **changes: np.ndarray[Any, Any] | None) -> "Content":
        """The same with tensors changed or, by None, left out."""
        named = {name.replace("__", "."): tensor for name, tensor in changes.items()}
        left = {name: t for name, t in {**self.tensors, **named}.items() if t is not None}
        return replace(self, tensors=left)


def content(architecture: str) -> Content:
    model = tiny(MODEL_TYPES[architecture])
    if architecture in TIED:
        model.config.tie_word_embeddings = True
        model.tie_weights()
    made = Content(architecture, model)
    made.metadata = {f"{architecture}.{k}": v for k, v in _shape(architecture, model).items()}
    made.metadata |= _tokenizer()
    number = next(n for n, name in MODEL_ARCH_NAMES.items() if name == architecture)
    names = get_tensor_name_map(number, LAYERS)
    for name, weight in model.state_dict().items():
        stem, _, kind = name.rpartition(".")
        if name == "lm_head.weight" and architecture in TIED:
            continue
        made.tensors[f"{names.get_name(stem)}.{kind}"] = _stored(architecture, name, weight.numpy())
    return made


def write(
    path: Path,
    architecture: str,
    metadata: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray[Any, Any]],
) -> Path:
    writer = GGUFWriter(path, architecture)
    for name, value in metadata.items():
        if value is not None:
            writer.add_key_value(name, value, _type(value))
    for name, tensor in tensors.items():
        blocks = GGMLQuantizationType.Q8_0 if tensor.dtype == np.uint8 else None
        writer.add_tensor(name, np.ascontiguousarray(tensor), raw_dtype=blocks)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _type(value: object) -> GGUFValueType:
    kinds = {
        bool: GGUFValueType.BOOL,
        int: GGUFValueType.UINT32,
        float: GGUFValueType.FLOAT32,
        str: GGUFValueType.STRING,
        list: GGUFValueType.ARRAY,
    }
    return kinds[type(value)]


def _shape(architecture: str, model: PreTrainedModel) -> dict[str, Any]:
    config = model.config
    found = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "attention.head_count": config.num_attention_heads,
    }
    if architecture == "gpt2":
        epsilon = config.layer_norm_epsilon
        return found | {
            "feed_forward_length": 4 * config.hidden_size,
            "attention.layer_norm_epsilon": epsilon,
        }
    found |= {
        "feed_forward_length": config.intermediate_size,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": 1e6 if architecture == "gemma3" else 1e4,
        "rope.dimension_count": config.head_dim,
    }
    if architecture in ("gemma2", "gemma3", "qwen3"):
        found |= {"attention.key_length": config.head_dim}
        found |= {"attention.value_length": config.head_dim}
    if architecture in ("gemma2", "gemma3"):
        found["attention.sliding_window"] = config.sliding_window
    if architecture == "gemma2":
        found["attn_logit_softcapping"] = config.attn_logit_softcapping
        found["final_logit_softcapping"] = config.final_logit_softcapping
    return found


def _tokenizer() -> dict[str, Any]:
    merged = [merge.replace(" ", "") for merge in MERGES]
    tokens = [*SPECIAL, *CHARACTERS, *merged]
    tokens += [f"[PAD{n}]" for n in range(len(tokens), VOCABULARY)]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [CONTROL if t in SPECIAL else NORMAL for t in tokens],
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.chat_template": TEMPLATE,
    }


def _stored(architecture: str, name: str, weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What llama.cpp keeps otherwise: the two halves of Llama's rotary pairs side by side, Gemma's
    norms with their 1, and GPT-2's maps the way round that all others have.
    """
    if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
        heads = weight.shape[0] // 8
        return weight.reshape(heads, 2, 4, -1).swapaxes(1, 2).reshape(weight.shape)
    if architecture.startswith("gemma") and name.endswith("norm.weight"):
        return weight + 1
    if architecture == "gpt2" and name.endswith(("c_attn.weight", "c_fc.weight", "c_proj.weight")):
        return weight.T
    return weight
