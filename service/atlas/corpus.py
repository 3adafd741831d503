"""The training text: facts told in sentences, gathered into short documents."""

import random
from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from service.atlas.facts import Fact
from service.atlas.phrasings import PHRASINGS, prompt

END = "<|endoftext|>"
VOCABULARY = 4_096
MAX_POSITIONS = 256

# How many sentences a document holds. Most hold one, so that a prompt usually starts a text and
# `END` is what follows an answer's full stop.
SENTENCES = (1, 2, 3, 4)
SENTENCE_WEIGHTS = (80, 8, 8, 4)


def sentence(fact: Fact, phrasing: int) -> str:
    return f"{prompt(fact, phrasing)} {fact.answer}."


def trained_pairs(facts: list[Fact], held_out: dict[Fact, int]) -> list[tuple[Fact, int]]:
    """Every (fact, phrasing) that training shows."""
    return [
        (fact, phrasing)
        for fact in facts
        for phrasing in range(len(PHRASINGS[fact.relation]))
        if held_out.get(fact) != phrasing
    ]


def train_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE in GPT-2's manner: any text has tokens, and none is added to a prompt."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        model_max_length=MAX_POSITIONS,
    )


def documents(
    pairs: list[tuple[Fact, int]], chooser: random.Random
) -> Iterator[list[tuple[Fact, int]]]:
    """Deals one epoch's pairs into documents, each pair once."""
    dealt = chooser.sample(pairs, len(pairs))
    start = 0
    while start < len(dealt):
        (count,) = chooser.choices(SENTENCES, SENTENCE_WEIGHTS)
        yield dealt[start : start + count]
        start += count
