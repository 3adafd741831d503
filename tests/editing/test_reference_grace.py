"""GRACE against the numbers of its reference implementation."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from service.editing.codebook import Codebook, Replacement
from service.editing.grace import Grace, GraceHyperparameters, Keyed
from service.editing.requests import EditRequest
from service.editing.tokens import prompt_ids, target_ids

REFERENCE = Path(os.environ.get("ERRATA_REFERENCE", "../shared/reference"))
pytestmark = pytest.mark.skipif(
    not (REFERENCE / "vectors.json").exists(), reason="no reference vectors"
)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    return json.loads((REFERENCE / "vectors.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_file(REFERENCE / "expected.safetensors")


@pytest.mark.parametrize("replacement", ["replace_last", "replace_prompt"])
def test_codebook_and_answers_equal_the_reference(
    replacement: str, vectors: dict[str, Any], expected: dict[str, Tensor]
) -> None:
    model = AutoModelForCausalLM.from_pretrained(REFERENCE / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(REFERENCE / "model")
    grace = vectors["grace"]
    editor = Grace(
        model,
        GraceHyperparameters(
            layer=grace["layer"],
            module=grace["module"],
            replacement=Replacement(replacement),
            radius=grace["epsilon_init"],
            steps=grace["n_iter"],
            learning_rate=grace["learning_rate"],
            stop_loss=0.0,
            keyed=Keyed.PROMPT,
        ),
    )
    requests = [
        EditRequest(
            number,
            (tuple(prompt_ids(tokenizer, edit["prompt"])),),
            (tuple(target_ids(tokenizer, edit["prompt"], edit["target"])),),
        )
        for number, edit in enumerate(grace["edits"])
    ]

    targets, failed = editor.targets(Codebook.empty(), requests)
    codebook, _ = editor.insert(Codebook.empty(), targets)

    assert not failed
    name = f"grace.{replacement}"
    close(codebook.keys, expected[f"{name}.keys"], 1e-4)
    close(codebook.radii, expected[f"{name}.epsilons"].flatten(), 1e-4)
    close(codebook.values, expected[f"{name}.values"], 2e-2)


def close(found: Tensor, wanted: Tensor, relative: float) -> None:
    assert found.shape == wanted.shape
    error = torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted)
    assert error < relative
