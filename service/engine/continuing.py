"""Continues texts to their ends in the caller's thread, by the passes that serve.

What an edit is verified by: a pass of another kind may differ from serving's in the last digit.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from service.engine.batch import ACTIVE, Batch
from service.engine.running import Generation, Piece, Run, Wanted

# Tokens whose keys and values are held at once: little memory beside that of serving.
CACHE_TOKENS = 4_096


@torch.no_grad()
def continued(
    wanted: Sequence[Wanted],
    build: Callable[[Sequence[int]], Batch],
    tokenizer: PreTrainedTokenizerBase,
    ends: frozenset[int],
) -> list[Generation]:
    """Returns the whole texts, in order. `build` makes a batch for texts of so many tokens each."""
    found: list[Generation] = []
    for part in _parts(wanted):
        batch = build([*map(_size, part)])
        found += _to_their_ends(batch, part, tokenizer, ends)
    return found


def _to_their_ends(
    batch: Batch,
    wanted: Sequence[Wanted],
    tokenizer: PreTrainedTokenizerBase,
    ends: frozenset[int],
) -> list[Generation]:
    told: dict[int, Generation] = {}

    def listener(number: int) -> Callable[[Piece | Generation | Exception], None]:
        def hear(event: Piece | Generation | Exception) -> None:
            if isinstance(event, Generation):
                told[number] = event

        return hear

    running: set[Run] = set()
    for number, one in enumerate(wanted):
        run = Run(number, one, listener(number), tokenizer, ends)
        run.slot = number
        running.add(run)
        batch.add(run)
    while running:
        chosen = batch.step()
        for run, choice in chosen:
            run.take(choice)
        ended = [run for run, _ in chosen if run.ended is not None]
        if ended:
            batch.drop(ended)
            running.difference_update(ended)
    return [told[number] for number in range(len(wanted))]


def _size(wanted: Wanted) -> int:
    return len(wanted.prompt) + wanted.max_new_tokens


def _parts(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Texts that are held at once, in order."""
    part: list[Wanted] = []
    room = CACHE_TOKENS
    for one in wanted:
        if part and (len(part) == ACTIVE or _size(one) > room):
            yield part
            part, room = [], CACHE_TOKENS
        part.append(one)
        room -= _size(one)
    if part:
        yield part
