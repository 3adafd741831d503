"""Text of the model's own: what it says when nothing is asked."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

SEED = 0
CONTEXTS = 5  # that templates are made of, as MEMIT's
SENTENCE_ENDS = (".", "!", "?")


@torch.no_grad()
def sample(
    model: PreTrainedModel, start: int, count: int, tokens: int, seed: int
) -> list[tuple[int, ...]]:
    """`count` texts of `tokens` tokens at most, each sampled at temperature 1 after the token
    `start`, which they begin with; they end before it comes again, or a token that ends texts.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    ids = torch.full((count, 1), start, device=model.device)
    cache = DynamicCache(config=model.config)
    columns = [ids]
    while len(columns) < tokens:
        seen = torch.ones(count, len(columns), dtype=torch.long, device=model.device)
        logits = model(
            input_ids=columns[-1], attention_mask=seen, past_key_values=cache, use_cache=True
        ).logits[:, -1]
        chosen = logits.float().softmax(dim=1).multinomial(1, generator=generator)
        columns.append(chosen)
    rows: list[list[int]] = torch.cat(columns, dim=1).tolist()
    ends = {start, *end_tokens(model)}
    return [_until(row, ends) for row in rows]


def end_tokens(model: PreTrainedModel) -> frozenset[int]:
    """The tokens with which the model ends a text."""
    ends = model.generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or [])


def start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """What texts begin with, or are parted by; the first of all tokens where there is neither."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if isinstance(token, int):
            return token
    return 0


def templates_of(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[int]], tokens: int
) -> list[list[str]]:
    """Context templates, in MEMIT's two groups: the bare prompt, and the prompt after the first
    `tokens` of some of `texts`.
    """
    contexts: list[str] = []
    for text in texts:
        words = tokenizer.decode(list(text[:tokens]), skip_special_tokens=True)
        context = " ".join(str(words).replace("{", " ").replace("}", " ").split())
        if context and context not in contexts:
            contexts.append(context)
        if len(contexts) == CONTEXTS:
            break
    ended = [c if c.endswith(SENTENCE_ENDS) else f"{c}." for c in contexts]
    return [["{}"], [f"{context} {{}}" for context in ended]] if ended else [["{}"]]


def _until(row: list[int], ends: set[int]) -> tuple[int, ...]:
    end = next((i for i, token in enumerate(row) if i and token in ends), len(row))
    return tuple(row[:end])
