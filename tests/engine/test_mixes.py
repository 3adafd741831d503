"""Random prompts in random mixes: a text's tokens and logits are those that it has alone.

`ERRATA_MIXED_PROMPTS=1000` runs as many prompts as a proof wants; the tests run fewer.
"""

import os
import random
from functools import cache

import pytest
import torch
from torch import Tensor

from service.engine.running import Generation, Wanted
from tests.engine.asking import say
from tests.engine.overlays import tokens
from tests.engine.test_batches import CLOSE, alone, generator, model_of, overlays_of, wanted

PROMPTS = int(os.environ.get("ERRATA_MIXED_PROMPTS", "20"))
MIXES = 20
NEW = 3
LONGEST = 24
MODEL = "llama"


@pytest.mark.parametrize("name", ["replace_last", "replace_all", "calibrated", "sequence"])
def test_texts_in_random_mixes_are_as_alone(name: str) -> None:
    mixed = random.Random(name)
    own = overlays_of(MODEL)[name]
    others = list(overlays_of(MODEL).values())
    prompts = [tokens(mixed.randint(1, LONGEST), 1_000 + n) for n in range(PROMPTS)]

    @cache
    def expected(asked: Wanted, said: tuple[int, ...]) -> Tensor:  # noqa: ARG001  # of the key
        return alone(model_of(MODEL), asked, found_by[asked])

    found_by: dict[Wanted, Generation] = {}
    right = count = 0
    for mix in range(MIXES):
        mixed.shuffle(prompts)
        # Others' versions are in every second mix.
        company = [wanted(mixed.choice(others), p, NEW) for p in prompts[: PROMPTS // 2]]
        asked = [wanted(own, prompt, NEW) for prompt in prompts]
        crowd = asked + (company if mix % 2 else [])
        mixed.shuffle(crowd)
        with generator(model_of(MODEL), mixed.randint(LONGEST, 200), 4_096) as engine:
            said: list[Generation] = []
            while len(said) < len(crowd):
                said += say(engine, *crowd[len(said) : len(said) + mixed.randint(1, 64)])
        for one, generation in zip(crowd, said, strict=True):
            if one.overlay is own:
                found_by[one] = generation
                new = tuple(choice.token for choice in generation.choices)
                right += is_as_alone(generation, expected(one, new))
                count += 1
    assert right == count >= MIXES * PROMPTS


def is_as_alone(found: Generation, logprobs: Tensor) -> bool:
    """`logprobs` [n, vocabulary]: those of a pass over this text alone."""
    for choice, row in zip(found.choices, logprobs, strict=True):
        likeliest, values = zip(*choice.likeliest, strict=True)
        first, second = row.topk(2).values
        near = torch.tensor(values).sub(row[list(likeliest)]).abs().max() < CLOSE
        if not near or (first - second > CLOSE and choice.token != int(row.argmax())):
            return False
    return True
