"""A model's shape, told by its configuration: no weights are read or made."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from service.editing.architectures import architecture_of, layers_of
from service.editing.model_shape import ModelShape, Widths

TOKENS = 3  # of the pass that tells what modules take and give


@torch.no_grad()
def shape_of(config: PretrainedConfig, dtype: torch.dtype) -> ModelShape:
    """Runs a pass of a model whose tensors have sizes and no numbers, and notes the sizes."""
    own = copy.deepcopy(config)  # transformers writes its choices into it
    load: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        # Other attention looks at the numbers of its mask.
        model: PreTrainedModel = load(own, dtype=dtype, attn_implementation="eager").eval()
        layers: list[dict[str, Widths]] = [{} for _ in layers_of(model)]
        for known, layer in zip(layers, layers_of(model), strict=True):
            for path, module in layer.named_modules():
                module.register_forward_hook(_noting(known, path))
        ids = torch.zeros(1, TOKENS, dtype=torch.int64)
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    return ModelShape(
        layers=tuple(layers),
        down_projection=architecture_of(model).down_projection,
        vocabulary=int(config.get_text_config().vocab_size),
        dtype=dtype,
    )


def _noting(known: dict[str, Widths], path: str) -> Any:
    """A hook that notes a module which maps one tensor to one, each with a row for every token."""

    def note(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not args or not all(isinstance(each, Tensor) for each in (args[0], output)):
            return
        if all(each.numel() == TOKENS * each.shape[-1] for each in (args[0], output)):
            known[path] = Widths(args[0].shape[-1], output.shape[-1])

    return note
