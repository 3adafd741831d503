"""An edited model as an ordinary one: the same logits without any hook."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from service.editing.architectures import ARCHITECTURES, down_projection_of, weight_of
from service.editing.codebook import Codebook
from service.editing.gates import Gate, Tokens
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.engine.loading import LoadedModel
from service.engine.overlay import pinned
from service.errors import StartupError
from service.operations.model_export import export_model
from tests.models import atlas
from tests.tiny import VOCABULARY, tiny

EDITED = (0, 2)


def changes(model: PreTrainedModel, gate: Gate = Gate.ALWAYS) -> HookLayers:
    """Two updates of two layers."""
    generator = torch.Generator().manual_seed(0)

    def update(number: int) -> Update:
        shape = weight_of(down_projection_of(model, number)).shape
        left, right = (torch.randn(n, 3, generator=generator) for n in shape)
        return Update(0.1 * left, right, right[:, :0], right[:, :0])

    layers: Mapping[int, HookLayer] = {
        **{n: HookLayer((update(n), update(n))) for n in EDITED},
        1: HookLayer(),
    }
    return HookLayers(gate, layers)


def loaded(model: PreTrainedModel) -> LoadedModel:
    return LoadedModel("tiny", "f" * 64, model, atlas().tokenizer, 64)


def logits(model: PreTrainedModel, overlay: HookLayers | None = None) -> Tensor:
    tokens = torch.randint(1, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(1))
    present = torch.ones_like(tokens, dtype=torch.bool)
    with torch.no_grad(), pinned(model, overlay, Tokens.whole(present)):
        found: Tensor = model(tokens).logits
    return found


@pytest.mark.parametrize("model_type", sorted(ARCHITECTURES))
def test_weights_say_what_hooks_said(model_type: str, tmp_path: Path) -> None:
    model = tiny(model_type)
    overlay = changes(model)
    base, wanted = logits(model), logits(model, overlay)
    assert float((wanted - base).abs().max()) > 0.1
    export_model(loaded(model), overlay, 1, tmp_path / "model")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    torch.testing.assert_close(logits(found), wanted, atol=1e-4, rtol=1e-4)


def test_weights_that_are_shared_stay_what_they_are_elsewhere(tmp_path: Path) -> None:
    model = tiny("llama")
    model.config.tie_word_embeddings = True
    model.tie_weights()
    others = down_projection_of(model, 1)
    others.weight = down_projection_of(model, 0).weight
    before = weight_of(others).clone()
    overlay = changes(model)
    wanted = logits(model, overlay)
    export_model(loaded(model), overlay, 1, tmp_path / "model")
    assert torch.equal(weight_of(others), before)
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert found.get_input_embeddings().weight is found.get_output_embeddings().weight
    torch.testing.assert_close(logits(found), wanted, atol=1e-4, rtol=1e-4)


def test_what_no_weight_can_hold_is_refused(tmp_path: Path) -> None:
    model = tiny("llama")
    for state, reason in (
        (Codebook.empty(), "version 3 holds a codebook, which answers inside its radii alone"),
        (changes(model, Gate.SEQUENCE), "version 3 holds hook layers behind the gate 'sequence'"),
        (changes(model, Gate.CALIBRATED), "behind the gate 'calibrated'"),
    ):
        with pytest.raises(StartupError, match=reason):
            export_model(loaded(model), state, 3, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(StartupError, match="is not empty"):
        export_model(loaded(tiny("llama")), None, 0, tmp_path)
    with pytest.raises(StartupError, match="is no folder"):
        export_model(loaded(tiny("llama")), None, 0, tmp_path / "mine")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match="link is a symbolic link"):
        export_model(loaded(tiny("llama")), None, 0, tmp_path / "link")
    assert [file.name for file in tmp_path.iterdir()] == ["link"]
