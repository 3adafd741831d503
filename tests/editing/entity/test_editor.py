"""`entity` on tiny models of every architecture: a batch takes, and comes off."""

import pytest
import torch
from transformers import PreTrainedModel

from service.editing.architectures import ARCHITECTURES
from service.editing.entity.asking import Asking
from service.editing.entity.book import EntityBook
from service.editing.entity.editor import Entity, EntityHyperparameters
from service.editing.entity.relation_space import Projection, RelationSpace
from service.editing.gates import Tokens
from service.engine.overlay import pinned
from tests.engine.overlays import tokens
from tests.models import atlas, inserted
from tests.phrased import request_of
from tests.tiny import WIDTH, tiny

# Prompts shorter and longer than the sliding windows of those that have one.
SHAPES = [(12, 1), (2, 2), (20, 3), (7, 1)]
REQUESTS = [
    request_of(i + 1, [tokens(prompt, i)], [tokens(target, 50 + i)])
    for i, (prompt, target) in enumerate(SHAPES)
]


def space() -> RelationSpace:
    generator = torch.Generator().manual_seed(3)
    matrix, center = torch.randn(2 * WIDTH, 8, generator=generator), torch.zeros(8)
    return RelationSpace(
        2, 1, Projection(matrix, center), Projection(matrix[:WIDTH], center), 0.05, 0.01
    )


@torch.inference_mode()
def first_choices(
    model: PreTrainedModel, book: EntityBook, prompt: tuple[int, ...], target: tuple[int, ...]
) -> tuple[int, ...]:
    """The model's, before each token of the target behind a prompt."""
    text = torch.tensor([[*prompt, *target[:-1]]])
    queries = torch.arange(text.shape[1])[None] >= len(prompt) - 1
    tokens = Tokens(torch.ones_like(queries), queries, {})
    with pinned(model, book, tokens, None, text.tolist()):
        logits = model(input_ids=text).logits[queries]
    return tuple(logits.argmax(dim=1).tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_batch_of_edits_takes_and_comes_off(model_type: str, dtype: torch.dtype) -> None:
    model, tokenizer = tiny(model_type, dtype), atlas().tokenizer
    ids = torch.tensor([REQUESTS[2].phrasings[0].prompt])
    with torch.inference_mode():
        untouched = model(input_ids=ids).logits
    hyperparameters = EntityHyperparameters(layer=2, sentence_layer=1, noise=0.01)
    editor = Entity(model, tokenizer, hyperparameters, space())

    targets, errors = editor.targets(None, REQUESTS)
    book = inserted(editor, None, targets).read_by(Asking(tokenizer))

    assert not errors
    for request in REQUESTS:
        phrasing = request.phrasings[0]
        assert first_choices(model, book, phrasing.prompt, phrasing.target) == phrasing.target
    with torch.inference_mode():
        assert torch.equal(model(input_ids=ids).logits, untouched)
