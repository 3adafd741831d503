"""Writes the model in a GGUF file as a Hugging Face folder."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
from transformers import GenerationConfig
from transformers.utils import logging as transformers_logging

from service.domain.progress import Advance
from service.engine.checkpoint import configuration_of as written_configuration
from service.engine.checkpoint import weights_in
from service.engine.gguf.configuration import configuration_of
from service.engine.gguf.ends import end_tokens_of
from service.engine.gguf.header import GgufFile, read_header
from service.engine.gguf.tokenizer import tokenizer_of
from service.engine.gguf.weights import model_of
from service.engine.placement import GIB
from service.engine.vocabulary import fit, tokenizer_in
from service.errors import StartupError
from service.operations.model_export import check_target, write_model
from service.storage.files import whole_folder

BYTES = 4  # of a number in float32
STEPS = ("reading the header", "reading the weights", "writing the folder")


@dataclass(frozen=True)
class Imported:
    model_type: str
    numbers: int  # its weights
    chats: bool  # it has a chat template


def import_gguf(file: Path, target: Path, advance: Advance) -> Imported:
    """Writes a configuration, float32 weights in safetensors, the tokenizer with its chat template
    and a generation configuration to the folder `target`: whole, or not at all. Nothing is fetched,
    and no code is run.

    Raises `StartupError` for a file that is no GGUF file, or none of a model that can be kept as it
    is; for a target in use; and where memory or the disk are too small.
    """
    check_target(target)
    advance(STEPS[0], 0, len(STEPS))
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    found = read_header(file)
    config = configuration_of(found)
    tokenizer = tokenizer_of(found, config.max_position_embeddings)
    ends = end_tokens_of(found)
    _check_room(found, target)
    advance(STEPS[1], 1, len(STEPS))
    model = model_of(found, config)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=ends or None,
        pad_token_id=config.pad_token_id,
    )
    advance(STEPS[2], 2, len(STEPS))
    with whole_folder(target) as folder:
        write_model(model, tokenizer, folder)
        _check_written(folder, found)
    return Imported(config.model_type, found.numbers, bool(tokenizer.chat_template))


def _check_room(file: GgufFile, target: Path) -> None:
    """Raises `StartupError` where the weights are more than what is free."""
    size = BYTES * file.numbers
    parent = next(folder for folder in target.absolute().parents if folder.is_dir())
    rooms = {
        "memory": psutil.virtual_memory().available,
        f"the disk of {parent}": shutil.disk_usage(parent).free,
    }
    for place, free in rooms.items():
        if size > free:
            raise StartupError(
                f"its weights take {size / GIB:.1f} GiB in float32, and {place} has "
                f"{free / GIB:.1f} GiB free"
            )


def _check_written(folder: Path, file: GgufFile) -> None:
    """Raises `StartupError` for a folder that a server would refuse."""
    try:
        config = written_configuration(folder)
        fit(tokenizer_in(folder), config.vocab_size)
        numbers = weights_in(folder)
    except ValueError as error:
        raise StartupError(f"what was written can't be served: {error}") from error
    if numbers != file.numbers:
        raise StartupError(f"{numbers:,} of its {file.numbers:,} numbers were written")
