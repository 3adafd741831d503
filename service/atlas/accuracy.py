"""How much atlas knows: greedy decoding must give a fact's whole answer and then its full stop."""

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


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    facts: Sequence[Fact],
    held_out: dict[Fact, int],
) -> Accuracy:
    """Asks every fact in every phrasing. The answer is right when each of its tokens, and the full
    stop behind it, is the model's first choice given the tokens before.
    """
    pairs = [(fact, p) for fact in facts for p in range(len(PHRASINGS[fact.relation]))]
    known = dict(zip(pairs, _known(model, tokenizer, pairs), strict=True))

    def share(held: bool, relation: str | None = None) -> float:
        hits = [
            right
            for (fact, phrasing), right in known.items()
            if (held_out.get(fact) == phrasing) == held and relation in (None, fact.relation)
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
