"""Every way in which a model can't be loaded is one line that says what is wrong."""

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer

from service.atlas import MODEL_DIR
from service.editing.architectures import ARCHITECTURES
from service.engine.engine import Engine
from service.engine.loading import load_model
from service.engine.paged import is_paged
from service.engine.scoring import next_tokens
from service.errors import StartupError
from tests.engine.asking import ask
from tests.models import atlas, atlas_engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of atlas, to be spoilt."""
    return Path(shutil.copytree(MODEL_DIR, tmp_path / "model"))


@pytest.fixture
def sharded(folder: Path) -> Path:
    """The same with its weights in several files."""
    atlas().model.save_pretrained(folder, max_shard_size="4MB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


def refusal(name: Path | str, revision: str | None = None, **options: Any) -> str:
    with pytest.raises(StartupError) as caught:
        load_model(str(name), revision, "cpu", "float32", **options)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"the model '{name}' can't be loaded from {name}: ")


def configure(folder: Path, **changes: Any) -> None:
    configuration = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**configuration, **changes}))


def weigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def without(*names: str) -> type[Any]:
    """Stands in for packages that are not installed."""
    found = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in names else found(name, package)

    return patch("service.engine.placement.find_spec", find)  # type: ignore[return-value]


def test_no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refusal(folder) == "it has no config.json"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "config.json can't be read: Expecting property name"),
        (b"\xff", "config.json can't be read: 'utf-8' codec can't decode"),
        ("[]", "config.json names no model_type"),
        ("{}", "config.json names no model_type"),
        (
            '{"model_type": "gpt2", "n_layer": "many"}',
            "config.json can't be read: Validation error for field 'n_layer': TypeError: Field",
        ),
    ],
)
def test_a_broken_configuration(content: str | bytes, reason: str, folder: Path) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "config.json").write_bytes(data)
    assert refusal(folder).startswith(reason)


def test_an_architecture_that_cannot_be_edited(folder: Path) -> None:
    configure(folder, model_type="mamba")
    assert refusal(folder) == (
        f"models of type 'mamba' can't be edited yet; known: {', '.join(sorted(ARCHITECTURES))}"
    )


@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_a_model_is_not_run(known: bool, folder: Path) -> None:
    """A known type needs none of it; another is refused."""
    mark = folder / "it-ran"
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    for file in ("modeling_own.py", "custom_generate/generate.py"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(code)
    classes = ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer")
    configure(folder, auto_map=dict.fromkeys(classes, "modeling_own.Own"))
    tokenizer = folder / "tokenizer_config.json"
    tokenizer.write_text(
        json.dumps(
            {
                **json.loads(tokenizer.read_text()),
                "auto_map": {"AutoTokenizer": [None, "modeling_own.Own"]},
            }
        )
    )
    if known:
        load_model(str(folder), None, "cpu", "float32")
    else:
        configure(folder, model_type="own")
        assert refusal(folder).startswith("models of type 'own' can't be edited yet")
    assert not mark.exists()


def test_attention_is_a_matter_of_settings_alone(folder: Path) -> None:
    """By the name of a hub's kernel, transformers would fetch code and run it."""
    configure(folder, _attn_implementation="evil/kernel")
    loaded = load_model(str(folder), None, "cpu", "float32")
    assert loaded.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["adapter_model.bin", "other.safetensors", "/etc/passwd"])
def test_no_weights_but_its_own_are_loaded(name: str, folder: Path) -> None:
    configure(folder, transformers_weights=name)
    assert refusal(folder) == (
        "config.json names transformers_weights: only model.safetensors and "
        "model.safetensors.index.json are read"
    )


def test_an_adapter_is_not_added(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/model"}')
    assert refusal(folder) == (
        "it holds an adapter (adapter_config.json): merge it into the weights, and remove it"
    )


@pytest.mark.parametrize("name", ["../{}", "sub/{}", "/tmp/{}", "{}.bin"])
def test_shards_lie_beside_their_index(name: str, sharded: Path) -> None:
    """Those elsewhere are in no fingerprint."""
    index = sharded / "model.safetensors.index.json"
    weights = json.loads(index.read_text())["weight_map"]
    first = next(iter(weights))
    named = name.format(weights[first])
    index.write_text(json.dumps({"weight_map": {**weights, first: named}}))
    assert refusal(sharded) == (
        f"model.safetensors.index.json names what is no .safetensors file beside it: {named}"
    )


def test_a_configuration_that_makes_no_model(folder: Path) -> None:
    configure(folder, n_head=0)
    assert refusal(folder).startswith("ZeroDivisionError: ")


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    reason = "it has no weights in safetensors, neither model.safetensors nor "
    assert refusal(folder) == f"{reason}model.safetensors.index.json"


def test_pickles_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(folder).endswith(
        "; pytorch_model.bin would run code when read, and never is: convert it to safetensors"
    )


def test_a_file_that_was_cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert refusal(folder).startswith("model.safetensors can't be read: ")


def test_shards(sharded: Path) -> None:
    loaded = load_model(str(sharded), None, "cpu", "float32")
    ids = torch.tensor([atlas_engine().prompt_tokens("The currency of Japan is the")])
    assert torch.equal(loaded.model(ids).logits, atlas().model(ids).logits)


def test_a_missing_shard(sharded: Path) -> None:
    first, second, *_ = sorted(sharded.glob("*.safetensors"))
    first.unlink()
    second.unlink()
    assert refusal(sharded) == (
        f"model.safetensors.index.json names files that are not there: {first.name}, {second.name}"
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": {}}'])
def test_a_broken_index(content: str, sharded: Path) -> None:
    (sharded / "model.safetensors.index.json").write_text(content)
    assert refusal(sharded).startswith("model.safetensors.index.json ")


def test_weights_that_are_missing_are_not_drawn_at_random(folder: Path) -> None:
    names = [f"transformer.h.{number}.mlp.c_proj.weight" for number in range(4)]
    weigh(folder, lambda weights: [weights.pop(name) for name in names])
    assert refusal(folder) == f"its weights lack {', '.join(names[:3])} and 1 more"


def test_a_head_that_shares_the_embeddings_is_not_missing(folder: Path) -> None:
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert load_model(str(folder), None, "cpu", "float32").fingerprint == atlas().fingerprint
    configure(folder, tie_word_embeddings=False)
    assert refusal(folder) == "its weights lack lm_head.weight"


def test_weights_of_another_shape(folder: Path) -> None:
    name = "transformer.h.0.mlp.c_fc.bias"
    weigh(folder, lambda weights: weights.update({name: torch.zeros(3)}))
    width = len(load_file(MODEL_DIR / "model.safetensors")[name])
    assert refusal(folder) == (
        f"its weight {name} is of shape [3], and config.json asks for [{width}]"
    )


def test_more_layers_than_the_configuration_has(folder: Path) -> None:
    last = atlas().model.config.n_layer - 1
    configure(folder, n_layer=last)
    assert refusal(folder) == f"its weights have layers up to {last}, and config.json {last} layers"


def test_no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert refusal(folder) == "it has no tokenizer (tokenizer.json)"


def test_a_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    assert refusal(folder).startswith("its tokenizer can't be read: ")


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    size, embeddings = len(vocabulary), atlas().model.config.vocab_size
    vocabulary |= {f"own{number}": size + number for number in range(embeddings)}
    file.write_text(json.dumps(content))
    assert refusal(folder) == (
        f"its tokenizer has {size + embeddings} tokens, and the model embeddings for "
        f"{embeddings}: the two do not belong together"
    )


def test_added_tokens_without_embeddings_are_spelt_out(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    embeddings = atlas().model.config.vocab_size
    tokenizer.add_tokens([f"<filler-{n}>" for n in range(embeddings - len(tokenizer))])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<picture>"]})
    assert tokenizer.convert_tokens_to_ids("<picture>") == embeddings
    tokenizer.save_pretrained(folder)
    engine = Engine(load_model(str(folder), None, "cpu", "float32"))
    tokens = engine.prompt_tokens("The <picture> shows")
    assert max(tokens) < embeddings
    assert engine.token_text(tokens[1]) != "<picture>"
    next_tokens(engine.loaded.model, None, [tokens])


def test_a_name_that_is_neither_a_folder_nor_on_the_hub() -> None:
    assert re.match(
        r"ERRATA_MODEL 'errata/nowhere' is neither 'atlas' nor a local folder, and could not be "
        r"fetched from the hub at revision 'v2': \S",
        refusal("errata/nowhere", "v2"),
    )


@pytest.mark.parametrize("name", ["atlas", str(MODEL_DIR)])
def test_a_revision_of_a_local_model(name: str) -> None:
    assert refusal(name, "main") == (
        f"ERRATA_REVISION 'main' is of a hub model, and ERRATA_MODEL '{name}' is a folder: unset it"
    )


def test_a_device_without_the_memory(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    free = psutil.virtual_memory()._replace(available=1 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    assert refusal(folder) == (
        "the model's 0.0 GiB of weights do not fit on cpu, which has 0.0 GiB free: choose a "
        "smaller model, ERRATA_DTYPE or ERRATA_QUANTIZATION, or spread it with ERRATA_DEVICE_MAP"
    )


def test_a_device_that_runs_out_of_memory(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def run_out(_module: nn.Module, _device: torch.device) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")

    monkeypatch.setattr(nn.Module, "to", run_out)
    assert refusal(folder).startswith("the model's 0.0 GiB of weights do not fit on cpu: ")


@pytest.mark.parametrize(
    ("options", "missing", "reason"),
    [
        (
            {"quantization": "4bit"},
            "bitsandbytes",
            "ERRATA_QUANTIZATION '4bit' needs the package bitsandbytes, which is not installed: "
            "pip install 'errata-server[quantized]'",
        ),
        (
            {"device_map": "auto"},
            "accelerate",
            "ERRATA_DEVICE_MAP 'auto' needs the package accelerate, which is not installed: "
            "pip install 'errata-server[distributed]'",
        ),
    ],
)
def test_extras_that_are_not_installed(
    options: dict[str, Any], missing: str, reason: str, folder: Path
) -> None:
    with without(missing):
        assert refusal(folder, **options) == reason


def test_weights_that_are_stored_quantised(folder: Path) -> None:
    configure(folder, quantization_config={"quant_method": "gptq", "bits": 4})
    assert refusal(folder).startswith("its weights are stored quantised ('gptq'): take the model's")


def test_attention_that_cannot_be_had(folder: Path) -> None:
    setting = "ERRATA_ATTN_IMPLEMENTATION 'flash_attention_2'"
    assert refusal(folder, attn_implementation="flash_attention_2") == (
        f"{setting} takes 16 bits: set ERRATA_DTYPE to bfloat16 or float16"
    )
    with pytest.raises(StartupError, match=f"^{setting} can't be used: .*[Ff]lash"):
        load_model(str(folder), None, "cpu", "float16", attn_implementation="flash_attention_2")


def test_float16_on_a_cpu(folder: Path) -> None:
    loaded = load_model(str(folder), None, "cpu", "float16")
    assert loaded.model.dtype is torch.float16
    engine = Engine(loaded)
    (score,) = engine.score(None, [engine.continuation("The currency of Bulgaria is the", "lev")])
    assert score.greedy


def test_attention_that_has_no_paged_cache_generates_all_the_same(folder: Path) -> None:
    loaded = load_model(str(folder), None, "cpu", "float32", attn_implementation="eager")
    assert not is_paged(loaded.model)
    engine = Engine(loaded)
    assert ask(engine, None, "The currency of Bulgaria is the", 3).text == " lev."
    engine.stop()


@pytest.mark.parametrize("device_map", ["auto", "balanced", "sequential"])
def test_a_device_map_on_one_device(device_map: str, folder: Path) -> None:
    pytest.importorskip("accelerate")
    loaded = load_model(str(folder), None, "auto", "float32", device_map=device_map)
    assert loaded.fingerprint == atlas().fingerprint
    ids = torch.tensor([atlas_engine().prompt_tokens("The currency of Japan is the")])
    assert torch.equal(loaded.model(ids).logits, atlas().model(ids).logits)


@pytest.mark.parametrize("device_map", ["auto", "sequential"])
def test_weights_that_a_device_map_leaves_on_disk(
    device_map: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("accelerate")
    monkeypatch.setattr(
        "transformers.integrations.accelerate.accelerate_max_memory", lambda _: {"cpu": 12 << 20}
    )
    assert refusal(folder, device_map=device_map).startswith(
        f"ERRATA_DEVICE_MAP '{device_map}' finds no room for all weights: "
    )
