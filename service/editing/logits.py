"""Passes that end at the hidden states, and logits of those rows alone that somebody asks for.

Logits of every token are what a pass holds most of: a vocabulary of 128,000 is thirty times as wide
as the hidden states.
"""

from typing import Any, cast

from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import architecture_of, capped


def hidden_states(model: PreTrainedModel, **call: Any) -> Tensor:
    """[b, t, d]: what the head would be given in a pass over these arguments of the model's."""
    return cast("Tensor", model.base_model(**call)[0])


def logits_of(model: PreTrainedModel, rows: Tensor) -> Tensor:
    """[n, vocabulary]: the logits of some rows [n, d] of the hidden states, as the model gives
    them.
    """
    return capped(model, model.get_submodule(architecture_of(model).head)(rows))
