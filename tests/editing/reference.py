"""The reference vectors: numbers that the public reference implementations produced.

The folder is `ERRATA_REFERENCE`, by default beside the project; vectors of other models and edits
can be put through the same tests.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

FOLDER = Path(os.environ.get("ERRATA_REFERENCE", "../shared/reference"))
needed = pytest.mark.skipif(not (FOLDER / "vectors.json").exists(), reason="no reference vectors")


@cache
def vectors() -> dict[str, Any]:
    return json.loads((FOLDER / "vectors.json").read_text())  # type: ignore[no-any-return]


@cache
def expected() -> dict[str, Tensor]:
    return load_file(FOLDER / "expected.safetensors")


@cache
def second_moments() -> dict[int, Tensor]:
    moments = load_file(FOLDER / "second_moment.safetensors")
    return {int(name.removeprefix("layer.")): moment for name, moment in moments.items()}


@cache
def model() -> PreTrainedModel:
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(FOLDER / "model")
    loaded.eval().requires_grad_(False)
    return loaded


@cache
def tokenizer() -> Tokenizer:
    loaded: Tokenizer = AutoTokenizer.from_pretrained(FOLDER / "model")
    return loaded


def close(found: Tensor, wanted: Tensor, relative: float) -> None:
    """By the norm of the difference, relative to the norm of what is wanted."""
    assert found.shape == wanted.shape
    error = torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted)
    assert error < relative
