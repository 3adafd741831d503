"""Entity books at work in a pass: questions are looked up where they are asked, and answers take
the place of what the head is given.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import architecture_of, layers_of
from service.editing.taps import after, before
from service.engine.reading import Reading
from service.engine.watching import Watch


@dataclass(frozen=True)
class Passage:
    """Consecutive tokens of one text in a pass, at its rows from `row` on."""

    reading: Reading
    row: int
    past: int  # how many of the text's tokens earlier passes have seen
    length: int


@contextmanager
def answering(
    model: PreTrainedModel, passages: Sequence[Passage], watch: Watch | None
) -> Iterator[None]:
    """Passes of this thread inside the block answer by the books of these texts."""
    loud = [one for one in passages if not one.reading.is_quiet(one.past, one.length)]
    if not loud:
        yield
        return
    layers = layers_of(model)
    spaces = {s.digest: s for one in loud if (s := one.reading.book.space) is not None}
    with ExitStack() as stack:
        # Another log's space may be read at the same layers.
        for digest, space in spaces.items():
            own = [one for one in loud if _space(one) == digest]
            stack.enter_context(before({layers[space.sentence_layer]: partial(_add_up, own)}))
            stack.enter_context(before({layers[space.layer]: partial(_look_up, own)}))
        norm = model.get_submodule(architecture_of(model).norm)
        stack.enter_context(after({norm: partial(_answered, loud, watch)}))
        yield


def _space(passage: Passage) -> str | None:
    space = passage.reading.book.space
    return None if space is None else space.digest


def _add_up(passages: Sequence[Passage], args: tuple[Tensor, ...], _kwargs: dict[str, Any]) -> None:
    """The states that enter a layer, of the sentences in which something is asked."""
    rows = args[0].reshape(-1, args[0].shape[-1])
    for one in passages:
        for question in one.reading.spread(one.past, one.length):
            first = max(question.sentence, one.past) - one.past
            end = min(question.place + 1, one.past + one.length) - one.past
            states = rows[one.row + first : one.row + end].cpu()
            one.reading.add_up(question, one.past + first, states)


def _look_up(
    passages: Sequence[Passage], args: tuple[Tensor, ...], _kwargs: dict[str, Any]
) -> None:
    """The questions, by the states that enter a layer where they are asked."""
    rows = args[0].reshape(-1, args[0].shape[-1])
    asked = [
        (one, question) for one in passages for question in one.reading.asked(one.past, one.length)
    ]
    if not asked:
        return
    at = [one.row + question.place - one.past for one, question in asked]
    states = rows[torch.tensor(at, device=rows.device)].float().cpu()
    for (one, question), state in zip(asked, states, strict=True):
        one.reading.find(question, state)


def _answered(
    passages: Sequence[Passage], watch: Watch | None, _args: tuple[Any, ...], output: Tensor
) -> Tensor | None:
    """The head's inputs [..., d] with the answers in them; None where there are none."""
    rows, values = [], []
    for one in passages:
        reading, book = one.reading, one.reading.book
        for said in reading.said(one.past, one.length):
            rows.append(one.row + said.at - one.past)
            values.append(book.value(said.answer, said.step))
            if watch is not None:
                watch.said(rows[-1], book, said)
        if watch is not None:
            for question in reading.decided(one.past, one.length):
                watch.asked(one.row + question.at - one.past, book, reading.match(question.at))
    if not rows:
        return None
    flat = output.reshape(-1, output.shape[-1])
    at = torch.tensor(rows, device=flat.device)
    return flat.index_copy(0, at, torch.stack(values).to(flat)).view_as(output)
