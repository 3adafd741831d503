"""The model in a GGUF file, its weights in float32."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GgufConfig, PretrainedConfig, PreTrainedModel

from service.engine.checkpoint import first_line
from service.engine.fitting import check_fit
from service.engine.gguf.header import GgufFile
from service.errors import StartupError


def model_of(file: GgufFile, config: PretrainedConfig) -> PreTrainedModel:
    """Raises `StartupError` for weights that are not those of `config`."""
    with tempfile.TemporaryDirectory() as folder:
        # Alone in a folder: transformers would read what lies beside it, an adapter or a
        # configuration of another model.
        (Path(folder) / "model.gguf").symlink_to(file.path.resolve())
        load: Any = AutoModelForCausalLM.from_pretrained
        try:
            model, found = load(
                folder,
                gguf_file="model.gguf",
                config=config,
                # Else the configuration that is written would call them quantised.
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
                trust_remote_code=False,
                local_files_only=True,
                ignore_mismatched_sizes=True,  # they are in what is found, and refused
                output_loading_info=True,
            )
            check_fit(model, found)
        except OSError:
            raise
        except Exception as error:  # transformers and gguf raise whatever their parts do
            raise StartupError(f"its weights can't be read: {first_line(error)}") from error
    made: PreTrainedModel = model
    return made
