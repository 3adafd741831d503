"""Hyperparameters: the rule by depth, the bundled presets, what is given, and what is refused."""

import itertools
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from service.editing.gates import Gate
from service.editing.grace import GraceHyperparameters
from service.editing.hyperparameters import (
    Hyperparameters,
    default_grid,
    hyperparameters_of,
    known_layers,
    structure_of,
)
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import EDITORS, METHODS
from service.editing.positions import Position
from service.editing.preset_files import (
    FOLDER,
    Preset,
    bundled_preset,
    read_preset,
    write_preset,
)
from service.errors import FieldError, InvalidRequestError, StartupError
from service.settings import EditorName
from tests.tiny import COMMON, SPECIAL


@cache
def layered(model_type: str, layers: int) -> PreTrainedModel:
    """A tiny model of as many layers as a large one."""
    config = AutoConfig.for_model(
        model_type, **{**COMMON, **SPECIAL.get(model_type, {}), "num_hidden_layers": layers}
    )
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model


def of(editor: str, *given: dict[str, Any], layers: int = 8) -> Hyperparameters:
    return hyperparameters_of(layered("gpt2", layers), editor, *given)


def grace(*given: dict[str, Any], layers: int = 8) -> GraceHyperparameters:
    found = of("grace", *given, layers=layers)
    assert isinstance(found, GraceHyperparameters)
    return found


def locate(editor: str, *given: dict[str, Any], layers: int = 8) -> LocateHyperparameters:
    found = of(editor, *given, layers=layers)
    assert isinstance(found, LocateHyperparameters)
    return found


# Presets.

# What each bundled preset is for: the architecture, and how many layers it has.
MODELS = {
    "atlas": ("gpt2", 8),
    "gemma-3-270m": ("gemma3_text", 18),
    "gpt-j-6b": ("gptj", 28),
    "gpt2-xl": ("gpt2", 48),
    "llama-2-7b": ("llama", 32),
    "llama-3-8b": ("llama", 32),
    "llama-3.2-3b": ("llama", 28),
    "mistral-7b": ("mistral", 32),
    "qwen2.5-7b": ("qwen2", 28),
    "smollm2-135m": ("llama", 30),
}
OURS = {"atlas", "gemma-3-270m", "smollm2-135m"}  # chosen by this project's own measurements


def preset_of(name: str) -> Preset:
    return read_preset(FOLDER / f"{name}.json")


def test_every_bundled_preset_has_its_model_here() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_bundled_presets_values_fit_its_model(name: str) -> None:
    preset, model = preset_of(name), layered(*MODELS[name])
    assert preset.fits(name)
    assert preset.editors
    assert set(preset.sources) == set(preset.editors)
    for editor, values in preset.editors.items():
        found = asdict(hyperparameters_of(model, editor, values))
        assert {key: found[key] for key in values} == {
            key: tuple(value) if key == "layers" else value for key, value in values.items()
        }


@pytest.mark.parametrize("name", sorted(MODELS.keys() - OURS))
def test_the_literatures_presets_are_of_all_editors(name: str) -> None:
    assert set(preset_of(name).editors) == set(EDITORS) - {"entity"}  # that is of no paper


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("atlas", "atlas"),
        ("/srv/models/atlas/", "atlas"),
        ("openai-community/gpt2-xl", "gpt2-xl"),
        ("gpt2-xl", "gpt2-xl"),
        ("EleutherAI/gpt-j-6b", "gpt-j-6b"),
        ("EleutherAI/gpt-j-6B", "gpt-j-6b"),
        ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama-3-8b"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3-8b"),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama-3.2-3b"),
        ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("Qwen/Qwen2-7B", "qwen2.5-7b"),
        ("./models/Qwen2.5-7B-Instruct/", "qwen2.5-7b"),
        ("models/llama-3-8b/tuned", None),
        ("openai-community/gpt2", None),
        ("openai-community/gpt2-large", None),
        ("meta-llama/Llama-2-70b-hf", None),
        ("meta-llama/Llama-2-13b-hf", None),
        ("meta-llama/Meta-Llama-3-70B", None),
        ("meta-llama/Llama-3.2-1B", None),
        ("Qwen/Qwen2.5-72B-Instruct", None),
        ("Qwen/Qwen2.5-0.5B", None),
        ("Qwen/Qwen3-8B", None),
        ("MBZUAI-Paris/Atlas-Chat-2B", None),
    ],
)
def test_a_model_gets_the_preset_that_its_name_asks_for(model: str, name: str | None) -> None:
    assert bundled_preset(model) == (Preset() if name is None else preset_of(name))


def test_a_preset_is_read_as_it_was_written(tmp_path: Path) -> None:
    preset = Preset(
        models=["tiny"], sources={"rome": "a trial"}, editors={"rome": {"layers": [3], "steps": 9}}
    )
    write_preset(tmp_path / "tiny.json", preset)
    read = read_preset(tmp_path / "tiny.json")
    assert read == preset
    assert read.of("rome") == {"layers": [3], "steps": 9}
    assert read.of("memit") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "can't be read: No such file"),
        ("{", "is none: Invalid JSON"),
        ('{"editors": {"rome": 3}}', "is none: editors.rome: "),
        ('{"layers": [3]}', "is none: layers: "),
        ('{"editors": {"rome": {}, "roma": {}, "ike": {}}}', "names no editor: ike, roma"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    file = tmp_path / "preset.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StartupError, match=reason):
        read_preset(file)


# The rule.


@pytest.mark.parametrize(
    ("layers", "several", "one", "grace_layer"),
    [
        (48, (8, 9, 10, 11, 12), (12,), 35),
        (32, (4, 5, 6, 7, 8), (8,), 23),
        (28, (4, 5, 6, 7), (7,), 20),
        (8, (1, 2), (2,), 5),
        (4, (1,), (1,), 2),
        (2, (0,), (0,), 1),
    ],
)
def test_layers_follow_the_models_depth(
    layers: int, several: tuple[int, ...], one: tuple[int, ...], grace_layer: int
) -> None:
    assert grace(layers=layers).layer == grace_layer
    for editor in METHODS:
        wanted = several if editor in ("coachhook", "memit") else one
        assert locate(editor, layers=layers).layers == wanted


def test_what_nobody_gave_is_the_methods_own() -> None:
    found = grace()
    assert (found.module, found.radius, found.steps) == ("mlp", None, 100)
    coachhook = locate("coachhook")
    assert (coachhook.gate, coachhook.alpha, coachhook.steps) == (Gate.SEQUENCE, 2.2, 20)
    assert coachhook.position is Position.LAST


def test_settings_and_requests_name_all_editors() -> None:
    assert get_args(EditorName) == EDITORS


@pytest.mark.parametrize("layers", [4, 8, 28, 32, 48])
@pytest.mark.parametrize("editor", EDITORS)
def test_every_point_of_the_default_grid_can_be_tried(editor: str, layers: int) -> None:
    grid = default_grid(layered("gpt2", layers), editor)
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    tried = {of(editor, point, layers=layers) for point in points}
    assert len(tried) == len(points) > 1


# What is given.


def test_the_later_given_goes_before_the_earlier() -> None:
    found = grace({"radius": 2.0, "steps": 10}, {"steps": 20, "layer": 3}, {"steps": 30})
    assert (found.radius, found.steps, found.layer) == (2.0, 30, 3)
    again = grace({"steps": 30}, {"steps": 20, "layer": 3}, {"radius": 2.0, "steps": 10})
    assert (again.radius, again.steps, again.layer) == (2.0, 10, 3)


def test_given_values_are_left_as_they_are() -> None:
    first, second = {"steps": 10}, {"steps": 20}
    grace(first, second)
    assert (first, second) == ({"steps": 10}, {"steps": 20})


def test_values_of_json_become_those_of_the_editor() -> None:
    found = locate(
        "coachhook",
        {"layers": [1, 3], "gate": "calibrated", "position": "subject_first", "alpha": 2},
    )
    assert found.layers == (1, 3)
    assert found.gate is Gate.CALIBRATED
    assert found.position is Position.FIRST
    assert (found.alpha, type(found.alpha)) == (2.0, float)


def test_what_is_recorded_can_be_given_again() -> None:
    for editor in EDITORS:
        found = of(editor, {"steps": 7})
        assert of(editor, asdict(found)) == found


# What is refused.


def faults(editor: str, **given: Any) -> list[FieldError]:
    with pytest.raises(InvalidRequestError) as caught:
        of(editor, given)
    return caught.value.errors


@pytest.mark.parametrize(
    ("editor", "given", "field", "reason"),
    [
        ("grace", {"steps": "30"}, "steps", "valid integer"),
        ("grace", {"steps": 3.5}, "steps", "valid integer"),
        ("grace", {"steps": True}, "steps", "valid integer"),
        ("grace", {"steps": 0}, "steps", "greater than or equal to 1"),
        ("grace", {"steps": 1_001}, "steps", "less than or equal to 1000"),
        ("grace", {"radius": 0}, "radius", "greater than 0"),
        ("grace", {"radius": "1"}, "radius", "valid number"),
        ("grace", {"replacement": "replace_first"}, "replacement", "'replace_last'"),
        ("grace", {"layer": -1}, "layer", "greater than or equal to 0"),
        ("grace", {"layer": 8}, "layer", "the model has no layer 8; it has 0 to 7"),
        ("grace", {"module": "mlp.up"}, "module", "layer 5 has no module 'mlp.up'; it has: ln_1,"),
        ("memit", {"steps": "30"}, "steps", "valid integer"),
        ("memit", {"layers": 3}, "layers", "valid array"),
        ("memit", {"layers": [1, "2"]}, "layers.1", "valid integer"),
        ("memit", {"layers": [2, 8]}, "layers", "the model has no layer 8; it has 0 to 7"),
        ("memit", {"layers": [6, 7]}, "layers", "layer 7 is the model's last"),
        ("memit", {"layers": [3, 2]}, "layers", "must ascend, each layer once"),
        ("memit", {"layers": [2, 2]}, "layers", "must ascend, each layer once"),
        ("memit", {"quantile": 1.5}, "quantile", "less than or equal to 1"),
        ("memit", {"second_moment_weight": 0.0}, "second_moment_weight", "greater than 0"),
        ("memit", {"position": "last"}, "position", "'subject_last'"),
        ("coachhook", {"gate": "sometimes"}, "gate", "'calibrated'"),
        ("rome", {"layers": [2, 3]}, "layers", "'rome' edits one layer"),
        ("r-rome", {"layers": [2, 3]}, "layers", "'r-rome' edits one layer"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(
    editor: str, given: dict[str, Any], field: str, reason: str
) -> None:
    (fault,) = faults(editor, **given)
    assert fault.field == f"hyperparameters.{field}"
    assert reason in fault.reason


def test_no_layer_at_all_is_refused() -> None:
    assert {fault.field for fault in faults("memit", layers=[])} == {"hyperparameters.layers"}


def test_all_unknown_names_are_told() -> None:
    assert faults("grace", layers=[3], alpha=1.0, steps="30") == [
        FieldError("hyperparameters.alpha", "'grace' has no such one"),
        FieldError("hyperparameters.layers", "'grace' has no such one"),
    ]
    assert faults("rome", radius=1.0) == [
        FieldError("hyperparameters.radius", "'rome' has no such one")
    ]


def test_all_wrong_values_are_told() -> None:
    found = faults("memit", steps="30", learning_rate=-1.0)
    assert {fault.field for fault in found} == {
        "hyperparameters.steps",
        "hyperparameters.learning_rate",
    }


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_presets_value_that_is_no_number_is_refused_by_its_name(
    tmp_path: Path, value: str
) -> None:
    file = tmp_path / "preset.json"
    file.write_text(f'{{"editors": {{"grace": {{"radius": {value}}}}}}}')
    (fault,) = faults("grace", **read_preset(file).of("grace"))
    assert fault.field == "hyperparameters.radius"


def test_emmet_may_edit_more_layers_than_one() -> None:
    assert locate("emmet", {"layers": [2, 3]}).layers == (2, 3)


def test_the_last_layer_but_one_is_the_highest_to_edit() -> None:
    assert locate("memit", {"layers": [0, 6]}).layers == (0, 6)
    assert grace({"layer": 7}).layer == 7  # a codebook needs none above it


def test_layers_that_a_model_lacks_are_told() -> None:
    model = layered("gpt2", 8)
    known_layers(model, [0, 7])
    with pytest.raises(InvalidRequestError) as caught:
        known_layers(model, [-1, 7, 8])
    assert caught.value.errors == [
        FieldError("layers", f"the model has no layer {n}; it has 0 to 7") for n in (-1, 8)
    ]


# Structures.


def test_logs_keep_a_codebook_validated_hook_layers_or_plain_ones() -> None:
    def structure(editor: str, **given: Any) -> str:
        return structure_of(editor, of(editor, given))

    assert structure("grace") == "a codebook at layer 5, module 'mlp', with 'replace_last'"
    assert structure("coachhook") == "validated hook layers with the gate 'sequence'"
    calibrated = structure("coachhook", gate="calibrated")
    assert calibrated == "validated hook layers with the gate 'calibrated'"
    plain = {structure(editor) for editor in ("memit", "emmet", "rome", "r-rome")}
    assert plain == {"plain hook layers with the gate 'always'"}
    # Without a gate it is one of them; and a gate that no method runs changes nothing.
    assert {structure("coachhook", gate="always"), structure("memit", gate="sequence")} == plain
    # One codebook has one place, and one way to replace; all else may differ.
    assert structure("grace", radius=9.0, steps=3) == structure("grace")
    moved = {
        structure("grace", layer=4),
        structure("grace", module="mlp.c_proj"),
        structure("grace", replacement="replace_all"),
    }
    assert len(moved - {structure("grace")}) == 3
    assert structure("memit", layers=[0], steps=3) in plain
