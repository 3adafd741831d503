"""The README's table of sizes is what its formulas give, and the formulas what the code takes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTJConfig,
    LlamaConfig,
    PretrainedConfig,
)

from service.editing import presets
from service.editing.accumulation import KEPT_KEYS
from service.editing.architectures import (
    ARCHITECTURES,
    down_projection_of,
    layers_of,
    weight_of,
)
from service.editing.changes import encode
from service.editing.codebook import Codebook, Replacement, Rule, Site, Target
from service.editing.codebook_change import CodebookChange
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooks_change import HooksChange
from service.editing.key_statistics import KeyStatistics
from service.editing.moments import Moments
from service.editing.shelf import Shelf
from service.operations.overlays import CACHED_VERSIONS
from service.storage.statistics import StatisticsStore

README = (Path(__file__).parent.parent / "README.md").read_text()
BESIDE = 256  # bytes of an entry on the device beside its key and value, at most


@dataclass(frozen=True)
class Shape:
    d: int  # the model's width
    m: int  # its MLP's
    layers: int  # that hook layers edit

    def sizes(self) -> dict[str, int]:
        """The README's formulas, in bytes."""
        d, m, layers = self.d, self.m, self.layers
        return {
            "GRACE: an entry on the device, in 16 bits": 4 * d,
            "GRACE: an entry in the host's memory": 8 * d,
            "GRACE: an entry in its batch's artifact": 16 * d,
            "hook layers: a version on the device": 4 * layers * d * m,
            "MEMIT: an edit in the host's memory, and in its artifact": 4 * layers * (d + m),
            "CoachHook: the same": 4 * layers * (d + 2 * m),
            "statistics, on disk and in the host's memory": 4 * layers * m * (m + KEPT_KEYS),
            "MEMIT: a batch's solve, at its peak, on the device": 40 * m * m,
            "CoachHook: the same, with what it keeps of earlier batches": (40 + 8 * layers) * m * m,
        }


MODELS: dict[str, tuple[str, PretrainedConfig]] = {
    "GPT-2 XL": ("gpt2-xl", GPT2Config(n_embd=1_600, n_layer=48, n_head=25)),
    "GPT-J 6B": ("gpt-j-6b", GPTJConfig()),
    "Llama 3 8B": (
        "llama-3-8b",
        LlamaConfig(
            hidden_size=4_096, intermediate_size=14_336, num_hidden_layers=32, num_key_value_heads=8
        ),
    ),
}
LINE = re.compile(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)


def shape_of(name: str) -> Shape:
    """By the modules that editors take, in a model without weights."""
    preset, config = MODELS[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    d_out, d_in = weight_of(down_projection_of(model, 0)).shape
    module = layers_of(model)[0].get_submodule(ARCHITECTURES[config.model_type].codebook_module)
    assert module(torch.empty(1, 1, d_out, device="meta")).shape == (1, 1, d_out)
    (folder,) = presets.__path__
    editors = json.loads((Path(folder) / f"{preset}.json").read_text())["editors"]
    assert editors["memit"]["layers"] == editors["coachhook"]["layers"]
    return Shape(d_out, d_in, len(editors["memit"]["layers"]))


def written(size: int) -> str:
    unit, name = next((u, n) for u, n in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")) if size >= u)
    return f"{size / unit:.3g} {name}"


def test_the_readme_has_what_the_formulas_give() -> None:
    _, _, text = README.partition("### Sizing")
    head, _, *rows = LINE.findall(text.partition("\n#")[0])
    assert list(head[1:]) == list(MODELS)
    shapes = [shape_of(name) for name in MODELS]
    assert list(rows[0][1:]) == [f"{s.d:,}, {s.m:,}, {s.layers}" for s in shapes]
    expected = [
        (quantity, *(written(shape.sizes()[quantity]) for shape in shapes))
        for quantity in shapes[0].sizes()
    ]
    assert rows[1:] == expected
    assert f"up to {CACHED_VERSIONS} of the past" in " ".join(text.split())


def test_a_codebook_of_gpt2_xls_width_takes_that_much() -> None:
    width, count = 1_600, 300
    sizes = Shape(width, 4 * width, 5).sizes()
    generator = torch.Generator().manual_seed(0)
    keys = (10 * torch.randn(count, width, generator=generator)).bfloat16().float()
    values = torch.randn(count, width, generator=generator)
    site = Site(0, "mlp", Replacement.LAST)
    targets = [Target(n, keys[n : n + 1], values[n : n + 1], ((n,),), (0,)) for n in range(count)]
    codebook = Codebook.empty().insert(site, targets, Rule(1.0))
    assert len(codebook) == count
    held = codebook.on(Shelf(width, width, torch.bfloat16, torch.device("cpu"))).held
    assert held is not None
    place, store = held.place, held.place.store
    tensors = (store.keys, store.values, store.squares, place.entry_of, place.radii)
    on_device = sum(tensor.nbytes for tensor in tensors) / count
    formula = sizes["GRACE: an entry on the device, in 16 bits"]
    assert formula < on_device <= formula + BESIDE
    tables = (codebook.key_table, codebook.value_table)
    on_host = sum(block.rows.nbytes for table in tables for block in table.blocks)
    assert on_host == count * sizes["GRACE: an entry in the host's memory"]
    change = CodebookChange(site, tuple(targets), codebook.difference(Codebook.empty()))
    in_artifact = count * sizes["GRACE: an entry in its batch's artifact"]
    assert in_artifact < len(encode(change)) < 1.02 * in_artifact


@pytest.mark.parametrize("editor", ["MEMIT", "CoachHook"])
def test_hook_layers_take_that_much(editor: str) -> None:
    """Narrower, since the formulas are linear in each width."""
    shape, edits = Shape(160, 640, 5), 40
    sizes = shape.sizes()
    kept = edits if editor == "CoachHook" else 0

    def layer() -> HookLayer:
        columns = (torch.randn(shape.d, edits), torch.randn(shape.m, edits))
        return HookLayer((Update(*columns, torch.randn(shape.m, kept), torch.empty(shape.m, 0)),))

    state = HookLayers(Gate.SEQUENCE, {number: layer() for number in range(shape.layers)})
    deltas = sum(layer.delta.nbytes for layer in state.layers.values())
    assert deltas == sizes["hook layers: a version on the device"]
    quantity = "MEMIT: an edit in the host's memory, and in its artifact"
    expected = edits * sizes[quantity if editor == "MEMIT" else "CoachHook: the same"]
    updates = [update for layer in state.layers.values() for update in layer.updates]
    assert sum(u.left.nbytes + u.right.nbytes + u.keys.nbytes for u in updates) == expected
    written_bytes = len(encode(HooksChange.between(None, state, ())))
    assert expected < written_bytes < 1.02 * expected


def test_statistics_and_what_is_kept_of_batches_take_that_much(tmp_path: Path) -> None:
    shape = Shape(160, 640, 1)
    m = shape.m
    statistics = KeyStatistics("text", torch.eye(m), torch.randn(KEPT_KEYS, m), 1)
    StatisticsStore(tmp_path, "0" * 64).save(0, statistics)
    (file,) = tmp_path.rglob("*.safetensors")
    expected = shape.sizes()["statistics, on disk and in the host's memory"]
    assert expected < file.stat().st_size < 1.01 * expected
    moments = Moments({0: statistics}, 1.0)
    keys = torch.randn(m, 4)
    update = Update(torch.randn(160, 4), keys, keys, torch.empty(m, 0))
    assert moments.weighted(0, (update,), keys.device).nbytes == 8 * m * m
    ((_, total),) = moments._sums.values()
    assert total.nbytes == 8 * m * m
