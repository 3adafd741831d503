"""A configuration tells what artifacts of its model may hold, as the model itself would."""

import pytest
import torch

from service.editing.architectures import (
    ARCHITECTURES,
    architecture_of,
    down_projection_of,
    layers_of,
    weight_of,
)
from service.editing.model_shape import Widths, is_attention
from service.engine.loading import shape_named
from service.engine.shapes import shape_of
from service.errors import StartupError
from tests.models import atlas
from tests.tiny import LAYERS, VOCABULARY, WIDTH, tiny


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_architecture(model_type: str) -> None:
    model = tiny(model_type)
    before = model.config.to_dict()
    found = shape_of(model.config, torch.bfloat16)
    assert (len(found.layers), found.vocabulary, found.hidden) == (LAYERS, VOCABULARY, WIDTH)
    assert found.dtype is torch.bfloat16
    assert model.config.to_dict() == before
    for number, layer in enumerate(layers_of(model)):
        d_out, d_in = weight_of(down_projection_of(model, number)).shape
        assert found.projection(number) == Widths(d_in, d_out)
        module = architecture_of(model).codebook_module
        assert found.layers[number][module].d_out == WIDTH
        # Every linear map but attention's own is called with one tensor.
        linear = {path for path, each in layer.named_modules() if hasattr(each, "weight")}
        assert linear - found.layers[number].keys() <= {"self_attn.q_norm", "self_attn.k_norm"}
        if model_type in ("qwen3", "gemma3_text"):  # they norm heads, not tokens
            assert "self_attn.q_norm" not in found.layers[number]
        whole = {"attn", "attn.attention", "attention", "self_attn"}
        assert whole.isdisjoint(found.layers[number])


def test_attention_is_known_by_its_name() -> None:
    assert is_attention("attn")
    assert is_attention("self_attn.c_attn")
    assert not is_attention("attn.c_proj")
    assert not is_attention("mlp")


def test_a_setting_leads_to_the_shape_that_the_loaded_model_has() -> None:
    assert shape_named("atlas", None, "cpu", "auto") == atlas().shape
    assert shape_named("atlas", None, "cpu", "float16").dtype is torch.float16


def test_a_model_that_is_not_there() -> None:
    with pytest.raises(StartupError, match="ERRATA_REVISION 'main' is of a hub model"):
        shape_named("atlas", "main", "cpu", "auto")
