"""One forward pass over tokens of many texts, each under the overlay that its own text pins.

A pass's tokens are thought of as rows laid end to end. What an overlay does takes texts side by
side [b, t]: its rows are gathered into such a grid, changed there and put back, so that a text's
numbers are the same whichever others share the pass.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.codebook import Codebook, Replacement, Site
from service.editing.gates import Gate, Sums, Tokens
from service.editing.hook_layer import HookLayers
from service.editing.hooked import gated
from service.editing.overlays import Overlay
from service.editing.taps import after
from service.engine.explaining import Spot
from service.engine.grid import Change, Grid, Stretch
from service.engine.hits import Hits
from service.engine.packed_codebooks import Asked, Watching, answering
from service.engine.watching import Watch


class Memory:
    """What the gate `sequence` must know in a pass of the tokens before it, by a text's slot."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._sums: dict[int, Sums] = {}  # by layer; [slots, 1]

    def recall(self, layer: int, slots: Tensor) -> Sums:
        known = self._sums[layer]
        return Sums(known.count[slots], known.total[slots], known.squares[slots])

    def keep(self, layer: int, slots: Tensor, sums: Sums) -> None:
        if layer not in self._sums:
            nothing = sums.count.new_zeros(3, self._slots, 1)
            self._sums[layer] = Sums(*nothing)
        known = self._sums[layer]
        known.count[slots], known.total[slots] = sums.count, sums.total
        known.squares[slots] = sums.squares


def needs_whole_prompts(overlay: Overlay | None) -> bool:
    """Whether it decides on a prompt's tokens by all of them, so that one pass must see them all.

    Such an overlay's texts are never cut in two before their first new token.
    """
    if isinstance(overlay, Codebook):
        return overlay.site is not None and overlay.site.replacement is not Replacement.LAST
    return overlay is not None and overlay.gate is Gate.SEQUENCE


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
            elif overlay.gate is Gate.SEQUENCE:
                begun = [one for one in group if one.past]
                for some in (begun, [one for one in group if not one.past]):
                    stack.enter_context(_gated_by_sequence(model, overlay, some, memory, watching))
            else:
                stack.enter_context(_gated_by_token(model, overlay, group, watching))
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


@contextmanager
def _gated_by_token(
    model: PreTrainedModel, overlay: HookLayers, group: Sequence[Stretch], watching: Watching
) -> Iterator[None]:
    grid = Grid.line([range(s.row, s.row + s.length) for s in group], model.device)
    tokens = Tokens(grid.present, grid.queries, {})
    seen = watching(grid.rows).added

    def change(number: int) -> Change:
        layer = overlay.layers[number]
        return lambda inputs, outputs: gated(
            number, layer, overlay.gate, inputs, outputs, tokens, seen
        )

    with after({module: grid.put(change(n)) for n, module in _projections(model, overlay)}):
        yield


@contextmanager
def _gated_by_sequence(
    model: PreTrainedModel,
    overlay: HookLayers,
    group: Sequence[Stretch],
    memory: Memory,
    watching: Watching,
) -> Iterator[None]:
    """All of the group are at their beginning, or none is."""
    if not group:
        yield
        return
    grid = Grid.of(group, model.device)
    slots = torch.tensor([one.run.slot for one in group], device=model.device)
    begun = group[0].past > 0
    seen = watching(grid.rows).added

    def change(number: int) -> Change:
        def function(inputs: Tensor, outputs: Tensor) -> Tensor:
            known = {number: memory.recall(number, slots)} if begun else {}
            tokens = Tokens(grid.present, grid.queries, known)
            layer = overlay.layers[number]
            changed = gated(number, layer, overlay.gate, inputs, outputs, tokens, seen)
            memory.keep(number, slots, tokens.sums[number])
            return changed

        return function

    with after({module: grid.put(change(n)) for n, module in _projections(model, overlay)}):
        yield


def _projections(model: PreTrainedModel, overlay: HookLayers) -> Iterator[tuple[int, Any]]:
    """The layers that hold a change, and where."""
    for number, layer in overlay.layers.items():
        if layer.updates:
            yield number, down_projection_of(model, number)
