"""Overlays act here: on the forward passes of the thread that pins one, and on no other.

Base weights never change. With no overlay pinned every module returns its own output, and the
logits are the base model's bit for bit.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, layers_of
from service.editing.codebook import Codebook, Replacement, Site
from service.editing.entity.book import EntityBook
from service.editing.gates import Tokens
from service.editing.hooked import Hooked
from service.editing.overlays import Overlay
from service.editing.shelf import Match
from service.editing.taps import after, per_text
from service.engine.entity_answers import Passage, answering
from service.engine.reading import Reading
from service.engine.watching import Watch


def modules_of(model: PreTrainedModel, overlay: Overlay) -> list[nn.Module]:
    """The modules at which an overlay acts."""
    if isinstance(overlay, Codebook):
        return [] if overlay.site is None else [module_at(model, overlay.site)]
    if isinstance(overlay, EntityBook):
        return []  # it acts at modules that the engine has prepared
    return [down_projection_of(model, number) for number in overlay.layers]


def pinned(
    model: PreTrainedModel,
    overlay: Overlay | None,
    tokens: Tokens,
    watch: Watch | None = None,
    texts: Sequence[Sequence[int]] = (),
) -> AbstractContextManager[None]:
    """Passes of this thread inside the block run under `overlay`, on `tokens`. An entity book reads
    `texts` (token ids), which are whole and padded to these tokens.
    """
    if overlay is None:
        return nullcontext()
    if isinstance(overlay, EntityBook):
        return answering(model, _passages(overlay, texts, tokens), watch)
    if isinstance(overlay, Codebook):
        return _answering(model, overlay, tokens.queries, watch)
    return Hooked.by(model, overlay).on(tokens, None if watch is None else watch.added)


def _passages(book: EntityBook, texts: Sequence[Sequence[int]], tokens: Tokens) -> list[Passage]:
    width = tokens.queries.shape[1]
    found = []
    for number, (text, first) in enumerate(
        zip(texts, tokens.queries.int().argmax(dim=1).tolist(), strict=True)
    ):
        reading = Reading(book, text[: first + 1])
        reading.read(text[first + 1 :])
        found.append(Passage(reading, number * width, 0, len(text)))
    return found


def module_at(model: PreTrainedModel, site: Site) -> nn.Module:
    return layers_of(model)[site.layer].get_submodule(site.module)


def _answering(
    model: PreTrainedModel, codebook: Codebook, queries: Tensor, watch: Watch | None
) -> AbstractContextManager[None]:
    site = codebook.site
    if site is None:
        return nullcontext()

    def replace(args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        inputs, outputs = per_text(args[0], queries), per_text(output, queries)
        answered = answer(codebook, site.replacement, inputs, outputs, queries, watch)
        return answered.view_as(output).to(output.device)

    return after({module_at(model, site): replace})


def answer(
    codebook: Codebook,
    replacement: Replacement,
    inputs: Tensor,
    outputs: Tensor,
    queries: Tensor,
    watch: Watch | None = None,
) -> Tensor:
    """Replaces rows of `outputs` [b, t, d_value] where `inputs` [b, t, d_key] at `queries` [b, t]
    fall inside an entry's radius.
    """
    asking = looked_up(replacement, queries)
    match = codebook.look_up(inputs[asking])
    if watch is not None:
        watch.answered(codebook, asking, match)
    return replaced(match, replacement, outputs, asking)


def looked_up(replacement: Replacement, queries: Tensor) -> Tensor:
    """Which of `queries` [b, t]: `replace_prompt` goes by the first of a text alone, its prompt's
    last token.
    """
    if replacement is Replacement.PROMPT:
        return queries & (queries.cumsum(dim=1) == 1)
    return queries


def replaced(match: Match, replacement: Replacement, outputs: Tensor, queries: Tensor) -> Tensor:
    """`outputs` [b, t, d_value] with the values of entries that fire at `queries` [b, t], those
    that were looked up, in the rows that `replacement` names.
    """
    text, column = queries.nonzero(as_tuple=True)
    values = match.values.to(outputs.dtype)  # [q, d_value]
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
