"""The passes of `entity`: states where texts ask, and what the head is given behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.entity.asking import Asking
from service.editing.logits import hidden_states
from service.editing.padding import pad
from service.editing.splitting import Splitting
from service.editing.taps import before, per_text


@dataclass(frozen=True)
class Asked:
    """One text of a pass."""

    tokens: tuple[int, ...]
    place: int  # the token at which it has been asked as a whole
    sentence: int  # the first token of its last sentence

    @classmethod
    def of(cls, asking: Asking, tokens: tuple[int, ...]) -> "Asked":
        place = asking.place(tokens)
        return cls(tokens, place, asking.sentence(tokens, place))


class _EnoughError(Exception):
    """Ends a pass: the layers that follow would compute what nobody asks for."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


def _enough(args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    raise _EnoughError(args[0])


def features_of(
    model: PreTrainedModel,
    layer: int,
    sentence_layer: int,
    texts: Sequence[Asked],
    splitting: Splitting,
) -> tuple[Tensor, Tensor]:
    """What a relation space tells questions by, each [n, d] float32, on the CPU: what enters
    `layer` at each text's place, and the mean of what enters `sentence_layer`, which is no later,
    in its last sentence.
    """

    def run(part: list[int]) -> tuple[Tensor, Tensor]:
        # Of no use behind the token at which all is asked.
        some = [texts[i].tokens[: texts[i].place + 1] for i in part]
        ids, present = pad(some, model.device)
        first = torch.tensor([texts[i].sentence for i in part], device=ids.device)
        columns = torch.arange(ids.shape[1], device=ids.device)
        inside = present & (columns >= first[:, None])
        means: list[Tensor] = []

        def add_up(args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
            states = per_text(args[0], present)
            means.append(sentence_mean(states, inside))

        taps = {layers_of(model)[sentence_layer]: add_up}
        ends = {layers_of(model)[layer]: _enough}
        with torch.no_grad(), before(taps), before(ends):
            try:
                hidden_states(model, input_ids=ids, attention_mask=present.long(), use_cache=False)
            except _EnoughError as enough:
                seen = per_text(enough.states, present)
        last = present.sum(dim=1) - 1
        states = seen[torch.arange(len(some), device=last.device), last]
        return states.float().cpu(), means[0].cpu()

    if not texts:
        return torch.empty(0, model.config.hidden_size), torch.empty(0, model.config.hidden_size)
    found = splitting.over([text.place + 1 for text in texts], run)
    states, means = (torch.cat(side) for side in zip(*found, strict=True))
    return states, means


def sentence_mean(states: Tensor, inside: Tensor) -> Tensor:
    """[b, d] float32: of states [b, t, d] where they are `inside` [b, t]; each sentence has one
    token at least.
    """
    # In double precision, the order in which tokens come does not show.
    sums = (states.double() * inside[..., None]).sum(dim=1)
    return (sums / inside.sum(dim=1, keepdim=True)).float()


def head_inputs(
    model: PreTrainedModel,
    texts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    splitting: Splitting,
) -> Tensor:
    """[v, d] float32, on the CPU: what the head is given at a prompt's last token and at each of
    its target's but the last, for texts of prompt and target.
    """

    def run(part: list[int]) -> Tensor:
        some = [texts[i] for i in part]
        ids, present = pad([[*prompt, *target[:-1]] for prompt, target in some], model.device)
        with torch.no_grad():
            states = hidden_states(
                model, input_ids=ids, attention_mask=present.long(), use_cache=False
            )
        rows = [
            (i, len(prompt) - 1 + step)
            for i, (prompt, target) in enumerate(some)
            for step in range(len(target))
        ]
        text, column = torch.tensor(rows, device=states.device).T
        return states[text, column].float().cpu()

    return torch.cat(splitting.over([len(p) + len(t) for p, t in texts], run))
