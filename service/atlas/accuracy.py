"""How much atlas knows: greedy decoding must give the whole answer and then its full stop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.atlas.facts import Fact
from service.atlas.phrasings import PHRASINGS, prompt

BATCH = 256


@dataclass(frozen=True)
class Accuracy:
    """Shares of facts answered right, per relation, in trained and in held-out phrasings."""

    trained: dict[str, float]
    held_out: dict[str, float]
    all_trained: float
    all_held_out: float


def all_pairs(facts: Sequence[Fact]) -> list[tuple[Fact, int]]:
    """Every fact in every phrasing."""
    return [(fact, way) for fact in facts for way in range(len(PHRASINGS[fact.relation]))]


def known_pairs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, facts: Sequence[Fact]
) -> set[tuple[Fact, int]]:
    """The (fact, phrasing) pairs that the model answers right: each of the answer's tokens, and the
    full stop behind it, is its first choice given the tokens before."""
    pairs = all_pairs(facts)
    right = _known(model, tokenizer, pairs)
    return {pair for pair, known in zip(pairs, right, strict=True) if known}


def accuracy(
    facts: Sequence[Fact], known: set[tuple[Fact, int]], held_out: dict[Fact, int]
) -> Accuracy:
    def share(held: bool, relation: str | None = None) -> float:
        hits = [
            pair in known
            for pair in all_pairs(facts)
            if (held_out.get(pair[0]) == pair[1]) == held and relation in (None, pair[0].relation)
        ]
        return sum(hits) / len(hits)

    return Accuracy(
        trained={relation: share(False, relation) for relation in PHRASINGS},
        held_out={relation: share(True, relation) for relation in PHRASINGS},
        all_trained=share(False),
        all_held_out=share(True),
    )


@torch.inference_mode()
def _known(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[Fact, int]],
) -> Iterator[bool]:
    for start in range(0, len(pairs), BATCH):
        batch = pairs[start : start + BATCH]
        prompts = tokenizer([prompt(*pair) for pair in batch])["input_ids"]
        answers = tokenizer([f" {fact.answer}." for fact, _ in batch])["input_ids"]
        texts = [[*p, *a] for p, a in zip(prompts, answers, strict=True)]
        width = max(map(len, texts))
        # Padding on the right cannot be seen by the tokens before it.
        ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
        choices = model(input_ids=ids.to(model.device)).logits.argmax(-1).tolist()
        for chosen, p, a in zip(choices, prompts, answers, strict=True):
            yield chosen[len(p) - 1 : len(p) + len(a) - 1] == a
