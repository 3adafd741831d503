"""Overlays act here: hooks that read what the current forward pass has pinned.

Base weights never change. With no overlay pinned, or an empty one, every hook returns its module's
own output, and the logits are the base model's bit for bit.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.codebook import Codebook, Replacement, Site


@dataclass(frozen=True)
class ForwardPass:
    """What one forward pass has pinned."""

    overlay: Codebook
    # [b, t] bool: the tokens whose next token is wanted, from each prompt's last on.
    queries: Tensor


_current: ContextVar[ForwardPass | None] = ContextVar("forward_pass", default=None)


@contextlib.contextmanager
def pinned(overlay: Codebook, queries: Tensor) -> Iterator[None]:
    """Every forward pass of this thread inside the block runs under `overlay`."""
    token = _current.set(ForwardPass(overlay, queries))
    try:
        yield
    finally:
        _current.reset(token)


class CodebookHook:
    """Answers from the pinned codebook in place of the module it is hooked to."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def attach(self, model: PreTrainedModel) -> None:
        layer = layers_of(model)[self._site.layer]
        layer.get_submodule(self._site.module).register_forward_hook(self)

    def __call__(
        self, _module: nn.Module, args: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        current = _current.get()
        if current is None or not len(current.overlay) or current.overlay.site != self._site:
            return None
        return answer(current.overlay, self._site.replacement, args[0], output, current.queries)


def answer(
    codebook: Codebook, replacement: Replacement, inputs: Tensor, outputs: Tensor, queries: Tensor
) -> Tensor:
    """Replaces rows of `outputs` [b, t, d_value] where `inputs` [b, t, d_key] at `queries` [b, t]
    fall inside an entry's radius. The replaced rows are those that `replacement` names;
    `replace_prompt` goes by the first query of a text, its prompt's last token.
    """
    text, column = queries.nonzero(as_tuple=True)
    match = codebook.look_up(inputs[text, column])
    values = codebook.values[match.entry].to(outputs.dtype)  # [q, d_value]
    if replacement is not Replacement.PROMPT:
        own = outputs[text, column]
        replaced = torch.where(match.fires[:, None], values, own)
        outputs = outputs.index_put((text, column), replaced)
    if replacement is not Replacement.LAST:
        first = queries.int().argmax(dim=1)
        leads = match.fires & (column == first[text])
        columns = torch.arange(queries.shape[1], device=queries.device)
        before = columns < first[text[leads], None]  # [l, t]
        whole = outputs.clone()
        whole[text[leads]] = torch.where(
            before[..., None], values[leads, None, :], outputs[text[leads]]
        )
        outputs = whole
    return outputs
