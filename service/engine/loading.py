"""Loads a model: the bundled one, a local folder or a hub id, from safetensors and JSON only."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from service.atlas import MODEL_DIR
from service.editing.architectures import check_architecture
from service.errors import StartupError

BUNDLED = "atlas"
# What is taken from a hub: no pickles, no code.
HUB_FILES = ["*.safetensors", "*.json", "tokenizer.model", "*.txt", "*.jinja"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CHUNK = 1 << 20
NO_TEMPLATE = "the model has no chat template"


@dataclass(frozen=True)
class LoadedModel:
    name: str
    fingerprint: str  # sha256 of configuration, weight and tokenizer files, and dtype
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int  # positions the model has

    @property
    def chats(self) -> bool:
        """It has a chat template."""
        return bool(self.tokenizer.chat_template)

    @property
    def vocabulary(self) -> int:
        """Token ids lie below it."""
        return int(self.model.config.get_text_config().vocab_size)

    @property
    def device(self) -> torch.device:
        return self.model.device


def load_model(name: str, revision: str | None, device: str, dtype: str) -> LoadedModel:
    """Loads `name`; `device` and `dtype` may be `auto`: the GPU if there is one, and the weights'
    own dtype there, float32 on a CPU. Raises `StartupError` with the reason if it can't.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = _folder(name, revision)
    chosen_device = _device(device)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        check_architecture(config.model_type)  # before gigabytes are read
        chosen_dtype = _dtype(dtype, chosen_device, getattr(config, "dtype", None))
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=chosen_dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        if not len(tokenizer):
            raise ValueError("there is no tokenizer")
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StartupError(f"the model '{name}' can't be loaded from {folder}: {reason}") from error
    nn.Module.to(model, chosen_device).eval().requires_grad_(False)
    positions = getattr(config, "max_position_embeddings", None)
    return LoadedModel(
        name=name,
        fingerprint=_fingerprint(folder, chosen_dtype),
        model=model,
        tokenizer=tokenizer,
        max_tokens=positions or tokenizer.model_max_length,
    )


def _folder(name: str, revision: str | None) -> Path:
    if name == BUNDLED:
        return MODEL_DIR
    if Path(name).is_dir():
        return Path(name)
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES))
    except (OSError, HfHubHTTPError, HFValidationError, ValueError) as error:
        raise StartupError(
            f"ERRATA_MODEL '{name}' is neither '{BUNDLED}' nor a local folder, and could not be "
            f"fetched from the hub: {str(error).strip().splitlines()[0]}"
        ) from error


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        # Something must really be there: `meta` holds no numbers.
        probe = torch.zeros(1, device=device)
        probe.item()
        return probe.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise StartupError(f"ERRATA_DEVICE '{device}' can't be used: {reason}") from error


def _dtype(dtype: str, device: torch.device, own: torch.dtype | None) -> torch.dtype:
    if dtype != "auto":
        return DTYPES[dtype]
    return torch.float32 if device.type == "cpu" or own is None else own


def _fingerprint(folder: Path, dtype: torch.dtype) -> str:
    hasher = hashlib.sha256(str(dtype).encode())
    config = json.loads((folder / "config.json").read_text())
    hasher.update(json.dumps(config, sort_keys=True).encode())
    # The tokenizer decides what a prompt is, and so which keys it has.
    files = [*folder.glob("*.safetensors"), *folder.glob("tokenizer*")]
    for path in sorted(files):
        hasher.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
    return hasher.hexdigest()
