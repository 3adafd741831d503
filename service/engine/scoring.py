"""How likely given continuations are, and which token comes first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.gates import Tokens
from service.editing.logits import hidden_states, logits_of
from service.editing.overlays import Overlay
from service.editing.padding import pad
from service.engine.explaining import Record, Spot
from service.engine.hits import Hits
from service.engine.overlay import pinned
from service.engine.watching import Watch

ROWS = 256  # whose logits are held at once


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
    rows = _query_states(model, overlay, prompts, [len(prompt) - 1 for prompt in prompts])
    chosen = []
    for start in range(0, len(rows), ROWS):
        logits = logits_of(model, rows[start : start + ROWS])
        if allowed is not None:
            own = allowed[start : start + ROWS].to(logits.device)
            logits = logits.masked_fill(~own, -torch.inf)
        chosen.append(logits.argmax(dim=1))
    tokens: list[int] = torch.cat(chosen).tolist()
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
    rows = _query_states(model, overlay, texts, first, hits, records)  # [all target tokens, d]
    targets = torch.tensor([t for c in continuations for t in c.target])
    parts = zip(rows.split(ROWS), targets.split(ROWS), strict=True)
    by_token, first_choice = map(
        torch.cat, zip(*(_judged(model, *part) for part in parts), strict=True)
    )
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


def _judged(model: PreTrainedModel, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the log-probability of each target token [n] after its row [n, d], and whether it is
    the first choice; on the CPU.
    """
    logprobs = logits_of(model, rows).float().log_softmax(dim=1)
    targets = targets.to(logprobs.device)
    by_token = logprobs.gather(1, targets[:, None])[:, 0]
    return by_token.cpu(), (logprobs.argmax(dim=1) == targets).cpu()


def _query_states(
    model: PreTrainedModel,
    overlay: Overlay | None,
    texts: Sequence[Sequence[int]],
    first: Sequence[int],
    hits: Hits | None = None,
    records: Sequence[Record | None] = (),
) -> Tensor:
    """[q, d]: the hidden states at every token of each text from its token `first` on."""
    ids, present = pad(texts, model.device)
    columns = torch.arange(ids.shape[1], device=ids.device)
    queries = present & (columns >= torch.tensor(first, device=ids.device)[:, None])
    watch = None if hits is None else _watch(hits, records, texts, ids)
    with pinned(model, overlay, Tokens(present, queries, {}), watch, texts):
        states = hidden_states(model, input_ids=ids, attention_mask=present.long(), use_cache=False)
    return states[queries.to(states.device)]


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
