"""A model whose layers lie on two devices is edited and served as it is on one."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.domain.pulse import Pulse
from service.editing.accumulation import Accumulation
from service.editing.architectures import architecture_of
from service.editing.codebook import Codebook
from service.editing.editor import AnyEditor
from service.editing.gates import Gate
from service.editing.grace import Grace, GraceHyperparameters
from service.editing.hook_layer import HookLayers
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.requests import EditRequest, FactRequest, SubjectText
from service.engine.generation import Generator
from service.engine.hits import Hits
from service.engine.loading import LoadedModel
from service.engine.padded import PaddedBatch
from service.engine.paged import is_paged
from service.engine.running import Wanted
from service.engine.scoring import Continuation, score
from tests.engine.asking import say
from tests.engine.overlays import every_overlay, loaded, tokens
from tests.far import FAR, spread, two_devices
from tests.models import atlas
from tests.phrased import request_of
from tests.tiny import tiny

# An architecture of each kind: its texts side by side, run together, normed behind the MLP.
TYPES = ["gpt2", "opt", "olmo2"]
CLOSE = 1e-3
FAR_FROM = 1  # the layer at which the second device begins
# Their last tokens are keys of the codebooks.
PROMPTS = [tokens(24, 99)[:length] for length in (13, 5, 9)]
TARGETS = [tokens(length, 50 + length) for length in (2, 1, 3)]


@pytest.fixture(autouse=True)
def _devices() -> Iterator[None]:
    with two_devices():
        yield


def spread_one(model_type: str) -> LoadedModel:
    model = spread(tiny(model_type), FAR_FROM)
    assert {weight.device.type for weight in model.parameters()} == {"cpu", FAR.type}
    return LoadedModel(model_type, "", model, atlas().tokenizer, 64)


@pytest.mark.parametrize("model_type", TYPES)
def test_every_overlay_acts_as_on_one_device(model_type: str) -> None:
    whole, split = loaded(model_type), spread_one(model_type)
    asked = [Continuation(*pair) for pair in zip(PROMPTS, TARGETS, strict=True)]
    said = {}
    for name, overlay in every_overlay(whole).items():
        said[name] = score(whole.model, overlay, asked)
        assert score(split.model, overlay, asked) == said[name]
    assert all(said[name] != said["base"] for name in said if name != "base")


def test_generation() -> None:
    whole, split = loaded("gpt2"), spread_one("gpt2")
    assert not is_paged(split.model)
    wanted = [
        Wanted(prompt, overlay, new)
        for overlay in every_overlay(whole).values()
        for prompt, new in zip(PROMPTS, (3, 6, 4), strict=True)
    ]
    said = []
    for model in (whole.model, split.model):
        batch = partial(PaddedBatch, model, 1_024, Hits())
        generator = Generator(batch, two_devices, whole.tokenizer, frozenset(), 1_000, Pulse())
        found = say(generator, *wanted)
        generator.stop()
        said.append([[choice.token for choice in one.choices] for one in found])
    assert said[0] == said[1]


def edited(editor: AnyEditor, requests: list[EditRequest]) -> dict[str, Tensor]:
    """What a batch becomes."""
    targets, errors = editor.targets(None, requests)
    assert not errors
    overlay = editor.insert(None, targets)
    if isinstance(overlay, Codebook):
        return {"keys": overlay.keys, "values": overlay.values, "radii": overlay.radii}
    assert isinstance(overlay, HookLayers)
    return {str(number): layer.delta for number, layer in overlay.layers.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Kernels that gradients pass through differ where there are two devices."""
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], atol=CLOSE * float(one[name].abs().max()))
        for name in one
    )


@pytest.mark.parametrize(
    ("model_type", "layer"), [("gpt2", 0), ("gpt2", 3), ("opt", 2), ("olmo2", 2)]
)
def test_grace(model_type: str, layer: int) -> None:
    requests = [
        request_of(i, [prompt], [target])
        for i, (prompt, target) in enumerate(zip(PROMPTS, TARGETS, strict=True))
    ]
    module = architecture_of(tiny(model_type)).codebook_module
    hyperparameters = GraceHyperparameters(layer, module, radius=1.0, steps=3)
    whole, split = (
        edited(Grace(model, hyperparameters), requests)
        for model in (tiny(model_type), spread(tiny(model_type), FAR_FROM))
    )
    assert same(whole, split)


def fact(number: int) -> EditRequest:
    prompt, target = PROMPTS[number], TARGETS[number]
    plain = SubjectText(prompt, len(prompt) - 2)
    request = FactRequest(number, plain, ((plain,),), plain, target)
    return request_of(number, [prompt], [target], request)


@pytest.mark.parametrize(
    ("model_type", "method"), [("opt", "coachhook"), ("olmo2", "coachhook"), ("olmo2", "r-rome")]
)
def test_locate_and_edit(model_type: str, method: str) -> None:
    layers = (1,) if METHODS[method].one_by_one else (0, 1, 2)
    hyperparameters = LocateHyperparameters(
        layers=layers, second_moment_weight=0.1, gate=Gate.SEQUENCE, steps=3
    )

    def after(model: PreTrainedModel) -> dict[str, Tensor]:
        unrelated = Accumulation.empty(layers)
        unrelated.add(model, [tokens(40, seed) for seed in range(100, 104)])
        statistics = unrelated.statistics("random")
        editor = LocateEditor(model, METHODS[method], hyperparameters, statistics)
        return edited(editor, [fact(number) for number in range(1 if len(layers) == 1 else 3)])

    assert same(after(tiny(model_type)), after(spread(tiny(model_type), FAR_FROM)))
