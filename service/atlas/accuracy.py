"""How much atlas knows: greedy decoding must give the whole answer and then its full stop."""

from collections.abc import Sequence
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
    full stop behind it, is its first choice given the tokens before.
    """
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
) -> list[bool]:
    prompts = tokenizer([prompt(*pair) for pair in pairs])["input_ids"]
    answers = tokenizer([f" {fact.answer}." for fact, _ in pairs])["input_ids"]
    texts = [[*p, *a] for p, a in zip(prompts, answers, strict=True)]
    right = [False] * len(pairs)
    # Like lengths share a batch, so that little is padding.
    by_length = sorted(range(len(pairs)), key=lambda i: len(texts[i]))
    for start in range(0, len(pairs), BATCH):
        batch = by_length[start : start + BATCH]
        width = len(texts[batch[-1]])
        # Padding on the right cannot be seen by the tokens before it.
        ids = torch.tensor([texts[i] + [0] * (width - len(texts[i])) for i in batch])
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        for row, i in enumerate(batch):
            predicting = hidden[row, len(prompts[i]) - 1 : len(texts[i]) - 1]
            right[i] = model.lm_head(predicting).argmax(-1).tolist() == answers[i]
    return right
