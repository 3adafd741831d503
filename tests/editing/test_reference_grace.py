"""GRACE against the numbers of its reference implementation."""

import pytest
import torch

from service.editing.codebook import Codebook, Replacement, Rows, Scope
from service.editing.gates import Tokens
from service.editing.grace import Grace, GraceHyperparameters, Keyed
from service.editing.requests import EditRequest
from service.editing.tokens import prompt_ids
from service.engine.overlay import pinned
from tests.editing.reference import close, expected, model, needed, tokenizer, vectors
from tests.phrased import request_of, target_ids

pytestmark = needed
REPLACEMENTS = ["replace_last", "replace_prompt"]


def editor(replacement: str) -> Grace:
    grace = vectors()["grace"]
    return Grace(
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
            scope=Scope.PAPER,
            noise=0.0,
        ),
    )


def requests() -> list[EditRequest]:
    return [
        request_of(
            number,
            [prompt_ids(tokenizer(), edit["prompt"])],
            [target_ids(tokenizer(), edit["prompt"], edit["target"])],
        )
        for number, edit in enumerate(vectors()["grace"]["edits"])
    ]


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_the_codebook_equals_the_reference(replacement: str) -> None:
    grace = editor(replacement)
    targets, failed = grace.targets(None, requests())
    codebook = grace.insert(None, targets)

    assert not failed
    assert codebook is not None
    name = f"grace.{replacement}"
    close(codebook.keys, expected()[f"{name}.keys"], 1e-4)
    close(codebook.radii, expected()[f"{name}.epsilons"].flatten(), 1e-4)
    close(codebook.values, expected()[f"{name}.values"], 2e-2)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_it_grows_edit_by_edit_as_the_reference(replacement: str) -> None:
    grace = editor(replacement)
    targets, _ = grace.targets(None, requests())
    codebook: Codebook | None = None
    for target, wanted in zip(targets, vectors()["grace"][replacement], strict=True):
        codebook = grace.insert(codebook, [target])
        assert codebook is not None
        assert len(codebook) == wanted["entries"]
        close(codebook.radii, torch.tensor(wanted["epsilons"]).flatten(), 1e-4)


@pytest.mark.parametrize("replacement", REPLACEMENTS)
def test_answers_under_the_references_codebook_equal_the_references(replacement: str) -> None:
    name = f"grace.{replacement}"
    keys = expected()[f"{name}.keys"]
    rows = Rows(
        index=tuple(range(len(keys))),
        keys=keys,
        values=expected()[f"{name}.values"],
        radii=expected()[f"{name}.epsilons"].flatten(),
        labels=tuple((number,) for number in range(len(keys))),
        owners=tuple(range(len(keys))),
    )
    codebook = Codebook.empty().with_rows(editor(replacement).site, rows)
    for number, request in enumerate(requests()):
        ids = torch.tensor([request.phrasings[0].prompt])
        present = torch.ones_like(ids, dtype=torch.bool)
        last = torch.zeros_like(present)
        last[:, -1] = True
        with torch.no_grad(), pinned(model(), codebook, Tokens(present, last, {})):
            found = model()(input_ids=ids).logits[0, -1]
        wanted = expected()[f"{name}.logits.{number}"]
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=0)
