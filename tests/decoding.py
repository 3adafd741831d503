"""Greedy decoding the plain way, one padded batch to its end: what the engine is held against."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

from service.editing.gates import Tokens
from service.editing.overlays import Overlay
from service.editing.padding import pad_left
from service.engine.overlay import pinned
from service.engine.running import FinishReason


@dataclass(frozen=True)
class Decoded:
    """The new tokens of one text, without the one that ended it."""

    tokens: tuple[int, ...]
    finish_reason: FinishReason


@torch.inference_mode()
def decode(
    model: PreTrainedModel,
    overlay: Overlay | None,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    end_tokens: frozenset[int],
) -> list[Decoded]:
    """Continues each prompt (token ids, none empty) under `overlay` with at most `max_new_tokens`
    first choices.
    """
    ids, present = pad_left(prompts, model.device)
    positions = (present.cumsum(dim=1) - 1).clamp(min=0)
    queries = torch.zeros_like(present)
    queries[:, -1] = True
    tokens = Tokens(present, queries, {})
    cache = DynamicCache(config=model.config)
    new: list[list[int]] = [[] for _ in prompts]
    reasons = [FinishReason.LENGTH] * len(prompts)
    going = set(range(len(prompts)))
    for _ in range(max_new_tokens):
        with pinned(model, overlay, tokens):
            logits = model(
                input_ids=ids,
                attention_mask=present.long(),
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        chosen = logits[:, -1].argmax(dim=-1)
        for text, token in enumerate(chosen.tolist()):
            if text in going and token in end_tokens:
                reasons[text] = FinishReason.STOP
                going.remove(text)
            elif text in going:
                new[text].append(token)
        if not going:
            break
        ids = chosen[:, None]
        positions = positions[:, -1:] + 1
        present = torch.cat([present, torch.ones_like(present[:, :1])], dim=1)
        every = torch.ones_like(ids, dtype=torch.bool)
        tokens = Tokens(every, every, tokens.sums)
    return [Decoded(tuple(t), reason) for t, reason in zip(new, reasons, strict=True)]
