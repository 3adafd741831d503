"""One forward pass over tokens of many texts, each under the overlay that its own text pins.

A pass's tokens are thought of as rows laid end to end. What an overlay does takes texts side by
side [b, t]: its rows are gathered into such a grid, changed there and put back, so that a text's
numbers are the same whichever others share the pass.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.codebook import Codebook, Replacement
from service.editing.gates import Gate, Sums, Tokens
from service.editing.hook_layer import HookLayers
from service.editing.hooked import gated
from service.editing.overlays import Overlay
from service.editing.taps import After, after
from service.engine.explaining import Spot
from service.engine.hits import Hits
from service.engine.overlay import answer, module_at
from service.engine.running import Run
from service.engine.watching import Watch

# Inputs and outputs of a module [b, t, d] to its outputs as they shall be.
Change = Callable[[Tensor, Tensor], Tensor]
# Rows of a pass to who watches them.
Watching = Callable[[Tensor], Watch]


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens of one text in a pass."""

    run: Run
    row: int  # of the first of them
    past: int  # how many of the text's tokens earlier passes have seen
    length: int

    @property
    def first_query(self) -> int:
        """The first of these tokens whose next one is wanted; `length` if that comes later."""
        return min(max(len(self.run.wanted.prompt) - 1 - self.past, 0), self.length)


@dataclass(frozen=True)
class Grid:
    """Rows of a pass as texts side by side; padding stands at any row."""

    rows: Tensor  # [b, t] int64
    present: Tensor  # [b, t] bool
    queries: Tensor  # [b, t] bool

    @classmethod
    def of(cls, stretches: Sequence[Stretch], device: torch.device) -> "Grid":
        """One text a line."""
        width = max(one.length for one in stretches)
        start, length, first = torch.tensor(
            [(one.row, one.length, one.first_query) for one in stretches], device=device
        ).T[:, :, None]
        columns = torch.arange(width, device=device)
        present = columns < length
        return cls(start + columns * present, present, present & (columns >= first))

    @classmethod
    def line(cls, spans: Sequence[range], device: torch.device) -> "Grid":
        """All on one line, for what looks at each token by itself; all count as queries."""
        rows = torch.tensor([[row for span in spans for row in span]], device=device)
        every = torch.ones_like(rows, dtype=torch.bool)
        return cls(rows, every, every)

    def put(self, change: Change) -> After:
        """What a module must do after a pass, to change these rows."""

        def function(args: tuple[Any, ...], output: Tensor) -> Tensor:
            home = self.rows.device
            inputs = args[0].reshape(-1, args[0].shape[-1]).to(home)
            outputs = output.reshape(-1, output.shape[-1]).to(home)
            changed = change(inputs[self.rows], outputs[self.rows])
            rows = self.rows[self.present]
            done = outputs.index_put((rows,), changed[self.present])
            return done.view_as(output).to(output.device)

        return function


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
    with ExitStack() as stack:
        for overlay, group in groups.items():
            if isinstance(overlay, Codebook):
                stack.enter_context(_answering(model, overlay, group, watching))
            elif overlay.gate is Gate.SEQUENCE:
                begun = [one for one in group if one.past]
                for some in (begun, [one for one in group if not one.past]):
                    stack.enter_context(_gated_by_sequence(model, overlay, some, memory, watching))
            else:
                stack.enter_context(_gated_by_token(model, overlay, group, watching))
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
def _answering(
    model: PreTrainedModel, codebook: Codebook, group: Sequence[Stretch], watching: Watching
) -> Iterator[None]:
    site = codebook.site
    if site is None:
        yield
        return
    if site.replacement is Replacement.LAST:
        asked = [range(s.row + s.first_query, s.row + s.length) for s in group]
        if not any(asked):
            yield
            return
        grid = Grid.line(asked, model.device)
    else:
        if site.replacement is Replacement.PROMPT:
            group = [one for one in group if not one.past]
        if not group:
            yield
            return
        grid = Grid.of(group, model.device)
    replacement, watch = site.replacement, watching(grid.rows)

    def change(inputs: Tensor, outputs: Tensor) -> Tensor:
        return answer(codebook, replacement, inputs, outputs, grid.queries, watch)

    with after({module_at(model, site): grid.put(change)}):
        yield


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
