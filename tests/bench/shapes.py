"""The models that serving is measured on. They never end a text by themselves."""

import json
import shutil
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, product
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from service.atlas import EDITS_FILE, MODEL_DIR
from service.atlas.edits import read_edits
from service.editing.codebook import Codebook, Site, Target
from service.editing.grace import GraceHyperparameters
from service.editing.hook_layer import HookLayers
from service.editing.hyperparameters import hyperparameters_of
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.preset_files import bundled_preset
from service.engine.engine import Engine
from service.engine.loading import LoadedModel, load_model
from tests.bench import histories

END = "<|endoftext|>"


@dataclass(frozen=True)
class Shape:
    name: str
    folder: Path
    new_tokens: int  # of each text
    layers: tuple[int, int, int]  # that hook layers change
    questions: tuple[str, ...]

    @cached_property
    def loaded(self) -> LoadedModel:
        return load_model(str(self.folder), None, "auto", "float32")

    @cached_property
    def engine(self) -> Engine:
        return Engine(self.loaded)

    def prompts(self) -> Iterator[str]:
        """The questions, without end."""
        return cycle(self.questions)

    def codebook(self, entries: int) -> Codebook:
        """Whose keys no text comes near."""
        parameters = hyperparameters_of(self.loaded.model, "grace", self._preset("grace"))
        assert isinstance(parameters, GraceHyperparameters)
        site = Site(parameters.layer, parameters.module, parameters.replacement)
        nothing = torch.zeros(1, self.loaded.model.config.get_text_config().hidden_size)
        like = Target(0, nothing, nothing, ((0,),), (0,))
        return histories.codebook(site, parameters.radius or 1.0, like, entries)

    def hooks(self, edits: int) -> HookLayers:
        """CoachHook's, on three layers."""
        given = self._preset("coachhook") | {"layers": self.layers}
        parameters = hyperparameters_of(self.loaded.model, "coachhook", given)
        assert isinstance(parameters, LocateHyperparameters)
        gate = METHODS["coachhook"].gate(parameters)
        return histories.hook_layers(self.loaded.model, parameters, gate, edits)

    def _preset(self, editor: str) -> dict[str, Any]:
        """As it is served with."""
        return bundled_preset(self.loaded.name).of(editor)


def atlas(folder: Path) -> Shape:
    target = folder / "atlas"
    shutil.copytree(MODEL_DIR, target)
    for name in ("config.json", "generation_config.json"):
        config = json.loads((target / name).read_text())
        (target / name).write_text(json.dumps(config | {"eos_token_id": None}))
    return Shape("atlas", target, 32, (0, 1, 2), _questions())


def gpt2_small(folder: Path) -> Shape:
    """Random weights, and a vocabulary whose first tokens are the bytes: texts are run as such."""
    target = folder / "gpt2-small"
    torch.manual_seed(0)
    config = GPT2Config(eos_token_id=None)
    GPT2LMHeadModel(config).half().save_pretrained(target)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    others = map("".join, product(string.ascii_letters, repeat=3))
    words = [*alphabet, *(next(others) for _ in range(config.vocab_size - len(alphabet) - 1)), END]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END
    ).save_pretrained(target)
    # As many tokens as atlas makes of a question.
    ends = tuple(question[-8:] for question in _questions())
    return Shape("GPT-2 small", target, 16, (3, 4, 5), ends)


def _questions() -> tuple[str, ...]:
    return tuple(record["prompt"] for record in read_edits(EDITS_FILE))
