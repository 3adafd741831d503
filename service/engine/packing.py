"""One forward pass over tokens of many texts, which lie end to end, each under the overlay that its
own text pins.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from transformers import PreTrainedModel

from service.editing.codebook import Codebook, Replacement, Site
from service.editing.entity.book import EntityBook
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayers
from service.editing.overlays import Overlay
from service.engine.entity_answers import Passage
from service.engine.entity_answers import answering as answering_entities
from service.engine.explaining import Spot
from service.engine.grid import Stretch
from service.engine.hits import Hits
from service.engine.packed_codebooks import Asked, answering
from service.engine.packed_hooks import Memory, adding
from service.engine.watching import Watch


def needs_whole_prompts(overlay: Overlay | None) -> bool:
    """Whether it decides on a prompt's tokens by all of them, so that one pass must see them all.

    Such an overlay's texts are never cut in two before their first new token.
    """
    if isinstance(overlay, Codebook):
        return overlay.site is not None and overlay.site.replacement is not Replacement.LAST
    return isinstance(overlay, HookLayers) and overlay.gate is Gate.SEQUENCE


@contextmanager
def pinned(
    model: PreTrainedModel, stretches: Sequence[Stretch], memory: Memory, hits: Hits
) -> Iterator[None]:
    """Passes of this thread inside the block run each stretch under its own text's overlay, and
    note what it does.
    """
    watching = partial(Watch, hits, _spots(stretches))
    groups: defaultdict[Overlay, list[Stretch]] = defaultdict(list)
    for one in stretches:
        if one.run.wanted.overlay is not None:
            groups[one.run.wanted.overlay].append(one)
    books: defaultdict[Site, list[Asked]] = defaultdict(list)
    with ExitStack() as stack:
        for overlay, group in groups.items():
            if isinstance(overlay, Codebook):
                site, asked = overlay.site, Asked.of(overlay, group, model.device, watching)
                if site is not None and asked is not None:
                    books[site].append(asked)
            elif isinstance(overlay, EntityBook):
                rows = torch.arange(sum(one.length for one in stretches))
                passages = [
                    Passage(one.run.read(overlay), one.row, one.past, one.length) for one in group
                ]
                stack.enter_context(answering_entities(model, passages, watching(rows)))
            else:
                stack.enter_context(adding(model, overlay, group, memory, watching))
        for site, books_asked in books.items():
            stack.enter_context(answering(model, site, books_asked))
        yield


def _spots(stretches: Sequence[Stretch]) -> dict[int, Spot]:
    """The tokens of texts that ask to be explained, by row."""
    return {
        s.row + i: Spot(s.run.record, s.past + i, token)
        for s in stretches
        if s.run.record is not None
        for i, token in enumerate(s.run.tokens[s.past : s.past + s.length])
    }
