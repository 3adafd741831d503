"""GRACE against the numbers of its reference implementation."""

import pytest

from service.editing.codebook import Replacement
from service.editing.grace import Grace, GraceHyperparameters, Keyed
from service.editing.requests import EditRequest
from service.editing.tokens import prompt_ids, target_ids
from tests.editing.reference import close, expected, model, needed, tokenizer, vectors

pytestmark = needed


@pytest.mark.parametrize("replacement", ["replace_last", "replace_prompt"])
def test_codebook_and_answers_equal_the_reference(replacement: str) -> None:
    grace = vectors()["grace"]
    editor = Grace(
        model(),
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
            (tuple(prompt_ids(tokenizer(), edit["prompt"])),),
            (tuple(target_ids(tokenizer(), edit["prompt"], edit["target"])),),
        )
        for number, edit in enumerate(grace["edits"])
    ]

    targets, failed = editor.targets(None, requests)
    codebook = editor.insert(None, targets)

    assert not failed
    assert codebook is not None
    name = f"grace.{replacement}"
    close(codebook.keys, expected()[f"{name}.keys"], 1e-4)
    close(codebook.radii, expected()[f"{name}.epsilons"].flatten(), 1e-4)
    close(codebook.values, expected()[f"{name}.values"], 2e-2)
