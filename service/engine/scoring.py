"""How likely given continuations are, and which token comes first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.gates import Tokens
from service.editing.overlays import Overlay
from service.editing.padding import pad
from service.engine.explaining import Record, Spot
from service.engine.hits import Hits
from service.engine.overlay import pinned
from service.engine.watching import Watch


@dataclass(frozen=True)
class Continuation:
    """Token ids of a prompt and of what may follow it; neither is empty."""

    prompt: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Score:
    logprob: float  # natural logarithm, summed over the target's tokens
    tokens: int
    greedy: bool  # every token of the target is the model's first choice
    record: Record | None = None  # if it was to be explained; the edits are still to be named


def score(
    model: PreTrainedModel,
    overlay: Overlay | None,
    continuations: Sequence[Continuation],
    hits: Hits | None = None,
    *,
    explain: bool = False,
) -> list[Score]:
    """Scores each continuation under `overlay`, in order, in one pass. Where `hits` count, it may
    be explained what the overlay does.
    """
    return list(_score(model, overlay, continuations, hits, explain))


@torch.inference_mode()
def next_tokens(
    model: PreTrainedModel,
    overlay: Overlay | None,
    prompts: Sequence[Sequence[int]],
    allowed: Tensor | None = None,
) -> list[int]:
    """The first choice after each prompt (token ids), in order, in one pass; among the tokens
    `allowed` [p, vocabulary] bool, if they are given.
    """
    logits = _query_logits(model, overlay, prompts, [len(prompt) - 1 for prompt in prompts])
    if allowed is not None:
        logits = logits.masked_fill(~allowed.to(logits.device), -torch.inf)
    tokens: list[int] = logits.argmax(dim=1).tolist()
    return tokens


@torch.inference_mode()
def _score(
    model: PreTrainedModel,
    overlay: Overlay | None,
    continuations: Sequence[Continuation],
    hits: Hits | None,
    explain: bool,
) -> Iterator[Score]:
    # The last token of a target predicts nothing and is left out.
    texts = [[*c.prompt, *c.target[:-1]] for c in continuations]
    first = [len(c.prompt) - 1 for c in continuations]
    records = [Record(overlay, last) if explain else None for last in first]
    logits = _query_logits(model, overlay, texts, first, hits, records)
    rows = logits.float().log_softmax(dim=1)  # [all target tokens, vocabulary]
    targets = torch.tensor([t for c in continuations for t in c.target], device=rows.device)
    by_token = rows.gather(1, targets[:, None])[:, 0].cpu()
    first_choice = (rows.argmax(dim=1) == targets).cpu()
    start = 0
    for continuation, record in zip(continuations, records, strict=True):
        of_one = slice(start, start + len(continuation.target))
        start = of_one.stop
        yield Score(
            logprob=float(by_token[of_one].double().sum()),
            tokens=len(continuation.target),
            greedy=bool(first_choice[of_one].all()),
            record=record,
        )


def _query_logits(
    model: PreTrainedModel,
    overlay: Overlay | None,
    texts: Sequence[Sequence[int]],
    first: Sequence[int],
    hits: Hits | None = None,
    records: Sequence[Record | None] = (),
) -> Tensor:
    """[q, vocabulary]: the logits of every token of each text from its token `first` on."""
    ids, present = pad(texts, model.device)
    columns = torch.arange(ids.shape[1], device=ids.device)
    queries = present & (columns >= torch.tensor(first, device=ids.device)[:, None])
    watch = None if hits is None else _watch(hits, records, texts, ids)
    with pinned(model, overlay, Tokens(present, queries, {}), watch):
        logits: Tensor = model(input_ids=ids, attention_mask=present.long(), use_cache=False).logits
    return logits[queries]


def _watch(
    hits: Hits, records: Sequence[Record | None], texts: Sequence[Sequence[int]], ids: Tensor
) -> Watch:
    """Of texts that are padded to `ids` [b, t]."""
    spots = {
        number * ids.shape[1] + i: Spot(record, i, token)
        for number, (record, text) in enumerate(zip(records, texts, strict=True))
        if record is not None
        for i, token in enumerate(text)
    }
    return Watch(hits, spots, torch.arange(ids.numel(), device=ids.device).view_as(ids))
