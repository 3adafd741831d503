"""Loads a model: the bundled one, a local folder or a hub id, from safetensors and JSON only."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from service.editing.model_shape import ModelShape
from service.engine.chat_template import (
    chat_template_of,
    digest_of,
    takes_system_messages,
)
from service.engine.checkpoint import (
    CONFIGURATION,
    configuration_of,
    fingerprint_of,
    first_line,
    folder_of,
    weights_in,
)
from service.engine.fitting import check_attention, check_fit, embeddings_of
from service.engine.placement import (
    check_placed,
    check_room,
    device_named,
    need,
    within,
)
from service.engine.quantization import (
    BITS,
    Quantization,
    check_stored,
    quantized_by,
    settle,
)
from service.engine.shapes import shape_of
from service.engine.vocabulary import fit, tokenizer_in
from service.errors import StartupError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
NO_TEMPLATE = "the model has no chat template"


@dataclass(frozen=True)
class LoadedModel:
    name: str
    fingerprint: str  # sha256 of configuration, weight and tokenizer files, dtype and quantisation
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int  # positions the model has
    quantization: Quantization | None = None

    @property
    def chats(self) -> bool:
        """It has a chat template."""
        return chat_template_of(self.tokenizer) is not None

    @property
    def system_messages(self) -> bool:
        """Its chat template takes them."""
        return takes_system_messages(self.tokenizer)

    @property
    def chat_template(self) -> str:
        """sha256 of what a chat goes through; empty where it has no chat template."""
        return digest_of(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """Token ids lie below it."""
        return int(self.model.config.get_text_config().vocab_size)

    @cached_property
    def shape(self) -> ModelShape:
        """What artifacts are held against."""
        return shape_of(self.model.config, self.model.dtype)

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        return self.model.device


def load_model(
    name: str,
    revision: str | None,
    device: str,
    dtype: str,
    *,
    device_map: str | None = None,
    attn_implementation: str | None = None,
    quantization: Quantization | None = None,
) -> LoadedModel:
    """Loads `name`; `device` and `dtype` may be `auto`: the GPU if there is one, and the weights'
    own dtype there, float32 on a CPU. `device_map` spreads it over several. Raises `StartupError`
    with the reason if it can't.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = folder_of(name, revision)
    chosen_device = device_named(device)
    try:
        config = configuration_of(folder)
        check_stored(config)
        chosen_dtype = _dtype(dtype, chosen_device, getattr(config, "dtype", None))
        if attn_implementation is not None:
            check_attention(config, attn_implementation, chosen_dtype)
        numbers = weights_in(folder)
        tokenizer = tokenizer_in(folder)
        model = _model(
            folder,
            config,
            numbers,
            chosen_dtype,
            chosen_device,
            device_map=device_map,
            attn_implementation=attn_implementation,
            quantization=quantization,
        )
        fit(tokenizer, embeddings_of(model))
    except StartupError:
        raise
    except Exception as error:  # transformers raises whatever its parts do
        raise StartupError(
            f"the model '{name}' can't be loaded from {folder}: {first_line(error)}"
        ) from error
    positions = getattr(config, "max_position_embeddings", None)
    form = str(chosen_dtype) if quantization is None else f"{chosen_dtype} {quantization}"
    return LoadedModel(
        name=name,
        fingerprint=fingerprint_of(folder, form),
        model=model,
        tokenizer=tokenizer,
        max_tokens=positions or tokenizer.model_max_length,
        quantization=quantization,
    )


def shape_named(name: str, revision: str | None, device: str, dtype: str) -> ModelShape:
    """That of a model which `load_model` would load, by its configuration alone. Raises
    `StartupError`.
    """
    folder = folder_of(name, revision, [CONFIGURATION])
    try:
        config = configuration_of(folder)
        own = getattr(config, "dtype", None)
        # Only `auto` asks what there is.
        chosen = DTYPES.get(dtype) or _dtype(dtype, device_named(device), own)
        return shape_of(config, chosen)
    except StartupError:
        raise
    except Exception as error:  # transformers raises whatever its parts do
        raise StartupError(
            f"the shape of the model '{name}' can't be told from {folder / CONFIGURATION}, and the "
            f"artifacts not held against it: {first_line(error)}"
        ) from error


def _dtype(dtype: str, device: torch.device, own: torch.dtype | None) -> torch.dtype:
    if dtype != "auto":
        return DTYPES[dtype]
    return torch.float32 if device.type == "cpu" or own is None else own


def _model(
    folder: Path,
    config: PretrainedConfig,
    numbers: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    device_map: str | None,
    attn_implementation: str | None,
    quantization: Quantization | None,
) -> PreTrainedModel:
    """`numbers`: how many the weights are."""
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attn_implementation}
    bits = 8 * dtype.itemsize
    if quantization is not None:
        bits = BITS[quantization]
        options["quantization_config"] = quantized_by(quantization, dtype)
        options["device_map"] = {"": device}  # it is quantised there, and can't be moved
    if device_map is not None:
        need("accelerate", f"ERRATA_DEVICE_MAP '{device_map}'", "distributed")
        options["device_map"] = device_map
    size = numbers * bits // 8
    if device_map is None:
        check_room(size, device)
        if quantization is None:
            check_room(size, torch.device("cpu"))  # which they go through
    with within(size, device if device_map is None else "the GPUs"):
        load: Any = AutoModelForCausalLM.from_pretrained
        model, found = load(
            folder,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            ignore_mismatched_sizes=True,  # they are in what is found, and refused
            output_loading_info=True,
            **options,
        )
        check_fit(model, found)
        if device_map is not None:
            check_placed(model, device_map)
        elif quantization is None:
            nn.Module.to(model, device)
    made: PreTrainedModel = model.eval().requires_grad_(False)
    if quantization is not None:
        settle(made)
    return made
