"""How likely given continuations are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from service.editing.codebook import Codebook
from service.engine.batches import pad
from service.engine.overlay import pinned

TOKENS_PER_PASS = 8_192


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


def score(
    model: PreTrainedModel, overlay: Codebook, continuations: Sequence[Continuation]
) -> list[Score]:
    """Scores each continuation under `overlay`, in order, in as many passes as memory asks for."""
    return [one for part in _parts(continuations) for one in _score(model, overlay, part)]


def _parts(continuations: Sequence[Continuation]) -> Iterator[Sequence[Continuation]]:
    part: list[Continuation] = []
    width = 0
    for continuation in continuations:
        width = max(width, len(continuation.prompt) + len(continuation.target))
        if part and width * (len(part) + 1) > TOKENS_PER_PASS:
            yield part
            part, width = [], len(continuation.prompt) + len(continuation.target)
        part.append(continuation)
    if part:
        yield part


@torch.inference_mode()
def _score(
    model: PreTrainedModel, overlay: Codebook, continuations: Sequence[Continuation]
) -> Iterator[Score]:
    # The last token of a target predicts nothing and is left out.
    texts = [[*c.prompt, *c.target[:-1]] for c in continuations]
    ids, present = pad(texts, model.device)
    columns = torch.arange(ids.shape[1], device=ids.device)
    last = torch.tensor([len(c.prompt) - 1 for c in continuations], device=ids.device)
    queries = present & (columns >= last[:, None])
    with pinned(overlay, queries):
        logits = model(input_ids=ids, attention_mask=present.long(), use_cache=False).logits
    rows = logits[queries].float().log_softmax(dim=-1)  # [all target tokens, vocabulary]
    targets = torch.tensor([t for c in continuations for t in c.target], device=ids.device)
    by_token = rows.gather(1, targets[:, None])[:, 0].cpu()
    first_choice = (rows.argmax(dim=1) == targets).cpu()
    start = 0
    for continuation in continuations:
        of_one = slice(start, start + len(continuation.target))
        start = of_one.stop
        yield Score(
            logprob=float(by_token[of_one].double().sum()),
            tokens=len(continuation.target),
            greedy=bool(first_choice[of_one].all()),
        )
