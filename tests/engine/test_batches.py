"""A text's tokens and their probabilities are its own: whatever else is in the batch, in whichever
order it came, wherever prompts are cut, and under whichever versions the others run.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import pytest
import torch
from torch import Tensor

from service.domain.pulse import Pulse
from service.editing.architectures import ARCHITECTURES
from service.editing.gates import Gate, Tokens
from service.editing.overlays import Overlay
from service.engine.batch import Batch
from service.engine.generation import Generator
from service.engine.hits import Hits
from service.engine.loading import LoadedModel
from service.engine.overlay import pinned
from service.engine.padded import PaddedBatch
from service.engine.paged import PagedBatch, is_paged
from service.engine.running import Generation, Wanted
from service.engine.sampling import Sampling
from tests.engine.asking import say
from tests.engine.overlays import every_overlay, loaded, tokens
from tests.models import atlas
from tests.tiny import VOCABULARY

NEW = 6
PROMPTS = [tokens(length, length) for length in (1, 2, 3, 7, 12, 20)]
CLOSE = 1e-4
# Of one pass: the longest prompt whole, and little beside it.
PASS_TOKENS = 36
# Few texts find room at once: others wait, or begin anew.
CACHE_TOKENS = 192


@cache
def model_of(model_type: str) -> LoadedModel:
    return loaded(model_type)


@cache
def overlays_of(model_type: str) -> dict[str, Overlay | None]:
    return every_overlay(model_of(model_type))


@contextmanager
def generator(
    model: LoadedModel, pass_tokens: int = PASS_TOKENS, cache_tokens: int = CACHE_TOKENS
) -> Iterator[Generator]:
    hits = Hits()

    def batch() -> Batch:
        if is_paged(model.model):
            return PagedBatch(model.model, pass_tokens, cache_tokens, hits)
        return PaddedBatch(model.model, pass_tokens, hits)

    made = Generator(batch, nullcontext, model.tokenizer, frozenset(), 1_000, Pulse())
    yield made
    made.stop()


def wanted(overlay: Overlay | None, prompt: tuple[int, ...], new: int = NEW) -> Wanted:
    return Wanted(prompt, overlay, new, Sampling(logprobs=VOCABULARY))


def alone(model: LoadedModel, asked: Wanted, found: Generation) -> Tensor:
    """[n, vocabulary]: a plain pass over the whole text says so before each of its new tokens."""
    new = [choice.token for choice in found.choices]
    ids = torch.tensor([[*asked.prompt, *new[:-1]]])
    queries = torch.arange(ids.shape[1])[None] >= len(asked.prompt) - 1
    seen = Tokens(torch.ones_like(queries), queries, {})
    with torch.inference_mode(), pinned(model.model, asked.overlay, seen, None, ids.tolist()):
        logits: Tensor = model.model(input_ids=ids, use_cache=False).logits[queries]
    return logits.log_softmax(dim=1)


def check(model: LoadedModel, asked: list[Wanted], found: list[Generation]) -> None:
    """Each as if it were alone."""
    for one, generation in zip(asked, found, strict=True):
        expected = alone(model, one, generation)
        assert len(generation.choices) == len(expected) == one.max_new_tokens
        for choice, row in zip(generation.choices, expected, strict=True):
            likeliest, values = zip(*choice.likeliest, strict=True)
            assert torch.tensor(values).sub(row[list(likeliest)]).abs().max() < CLOSE
            assert row.max() - row[choice.token] < CLOSE


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_overlay_in_one_batch(model_type: str) -> None:
    model, shuffled = model_of(model_type), random.Random(0)
    asked = [wanted(o, p) for o in overlays_of(model_type).values() for p in PROMPTS]
    with generator(model) as engine:
        for _ in range(2):
            shuffled.shuffle(asked)
            check(model, asked, say(engine, *asked))


@pytest.mark.parametrize("name", ["base", "replace_last", "entity", "always", "calibrated"])
@pytest.mark.parametrize("pass_tokens", [1, 5, 23])
def test_wherever_prompts_are_cut(name: str, pass_tokens: int) -> None:
    model = model_of("llama")
    asked = [wanted(overlays_of("llama")[name], prompt) for prompt in PROMPTS]
    with generator(model, pass_tokens) as engine:
        check(model, asked, say(engine, *asked))


def test_where_the_cache_is_full_and_texts_begin_anew() -> None:
    """Each grows past a page of the cache, which has six; so some are put off while they grow."""
    model = model_of("llama")
    asked = [wanted(o, PROMPTS[-1], 24) for o in overlays_of("llama").values()]
    with generator(model, pass_tokens=64) as engine:
        check(model, asked, say(engine, *asked))


def test_overlays_are_at_work_in_these_tests() -> None:
    model = model_of("llama")
    with generator(model) as engine:
        said = {
            name: tuple(c.token for g in found for c in g.choices)
            for name, overlay in overlays_of("llama").items()
            for found in [say(engine, *(wanted(overlay, prompt) for prompt in PROMPTS))]
        }
    assert len(set(said.values())) == len(said) == 1 + 3 + 1 + len(Gate)


def test_keys_and_values_are_of_one_version() -> None:
    """The same long prompt on all versions, one after another, so that a cache which goes by the
    prompt's tokens would find it each time.
    """
    prompt = tokens(50, 1)
    model = model_of("llama")
    for _ in range(2):
        with generator(model, 128, 2_048) as engine:
            for overlay in overlays_of("llama").values():
                asked = wanted(overlay, prompt)
                check(model, [asked], say(engine, asked))


def test_the_bundled_model_in_random_mixes() -> None:
    texts = ["The currency of Bulgaria is the", "Peru", "To phone the Solomon Islands, dial"]
    prompts = [tuple(atlas().tokenizer(text)["input_ids"]) for text in texts]
    mixed = random.Random(1)
    with generator(atlas(), 24, 256) as engine:
        for _ in range(5):
            asked = [wanted(None, mixed.choice(prompts)) for _ in range(mixed.randint(1, 8))]
            check(atlas(), asked, say(engine, *asked))
