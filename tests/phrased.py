"""Prompts, targets and requests in tokens, as editors take them."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from service.editing.requests import EditRequest, FactRequest, Phrasing
from service.editing.tokens import continued_ids


def target_ids(
    tokenizer: PreTrainedTokenizerBase, prompt: str, target: str, *more: Any, **others: Any
) -> tuple[int, ...]:
    """The tokens of `target` as a continuation of `prompt`."""
    return continued_ids(tokenizer, prompt, target, *more, **others)[1]


def request_of(
    edit_id: int,
    prompts: Sequence[tuple[int, ...]],
    targets: Sequence[tuple[int, ...]],
    fact: FactRequest | None = None,
) -> EditRequest:
    """An edit of given prompts and their targets alone."""
    return EditRequest(edit_id, tuple(map(Phrasing, prompts, targets)), fact=fact)
