"""Writes an edited model as an ordinary one: its weights with the changes of a version in them."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.editing.architectures import down_projection_of, set_weight, weight_of
from service.editing.codebook import Codebook
from service.editing.entity.book import EntityBook
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayers
from service.editing.overlays import Overlay
from service.engine.checkpoint import first_line
from service.engine.loading import LoadedModel
from service.errors import StartupError
from service.storage.files import whole_folder


def check_target(target: Path) -> None:
    """Raises `StartupError` unless `target` is free. A link is not, even to nothing: the folder
    that is put there would not lie where its path says.
    """
    if target.is_symlink():
        raise StartupError(f"{target} is a symbolic link: name the folder itself")
    if target.is_dir() and any(target.iterdir()):
        raise StartupError(f"{target} is not empty")
    if target.exists() and not target.is_dir():
        raise StartupError(f"{target} is no folder")


def plain(state: Overlay | None, version: int) -> HookLayers | None:
    """The state, if weights can hold it; else raises `StartupError`."""
    if isinstance(state, Codebook | EntityBook):
        raise StartupError(
            f"version {version} holds a codebook, which answers inside its radii alone: no weight "
            "can hold it"
        )
    if state is not None and state.gate is not Gate.ALWAYS:
        raise StartupError(
            f"version {version} holds hook layers behind the gate '{state.gate}', which decides "
            f"token by token: a weight can hold the gate '{Gate.ALWAYS}' alone"
        )
    return state


def export_model(loaded: LoadedModel, state: Overlay | None, version: int, target: Path) -> None:
    """Adds the changes to the weights of `loaded`, which is edited for good, and writes it with its
    tokenizer to the folder `target`: whole, or not at all. Weights keep their dtype: below float32
    the sums are rounded to it.

    Raises `StartupError` for a state that is no plain weight change, and for a target in use.
    """
    changes = plain(state, version)
    check_target(target)
    if changes is not None:
        _fold(loaded, changes)
    with whole_folder(target) as folder:
        write_model(loaded.model, loaded.tokenizer, folder)


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Raises `StartupError` for what can't be written, a full disk included."""
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (ValueError, RuntimeError, SafetensorError) as error:
        raise StartupError(f"the model can't be written: {first_line(error)}") from error


def _fold(loaded: LoadedModel, changes: HookLayers) -> None:
    for number, layer in changes.layers.items():
        if layer.updates:
            projection = down_projection_of(loaded.model, number)
            weight = weight_of(projection)
            total = weight.to(torch.float32) + layer.delta.to(weight.device)
            set_weight(projection, total.to(weight.dtype))
