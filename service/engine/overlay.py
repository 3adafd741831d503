"""Overlays act here: on the forward passes of the thread that pins one, and on no other.

Base weights never change. With no overlay pinned, or an empty one, every module returns its own
output, and the logits are the base model's bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import layers_of
from service.editing.codebook import Codebook, Replacement, Site
from service.editing.taps import after, per_text, tap


def prepare(model: PreTrainedModel, site: Site) -> None:
    """Makes a site ready for overlays; must not be while another thread runs the model."""
    tap(layers_of(model)[site.layer].get_submodule(site.module))


@contextmanager
def pinned(model: PreTrainedModel, overlay: Codebook, queries: Tensor) -> Iterator[None]:
    """Passes of this thread inside the block run under `overlay`. `queries` [b, t] bool: the tokens
    whose next token is wanted, from each prompt's last on.
    """
    site = overlay.site
    if site is None:
        yield
        return
    module = layers_of(model)[site.layer].get_submodule(site.module)

    def replace(args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        inputs, outputs = per_text(args[0], queries), per_text(output, queries)
        return answer(overlay, site.replacement, inputs, outputs, queries).view_as(output)

    with after({module: replace}):
        yield


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
