"""Hook layers at work in a packed pass, on the rows of the texts that pin them.

Only the norms that the gate `sequence` scores are laid out text by text: what a layer adds is
reckoned on the rows as they lie.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of
from service.editing.gates import Gate, Sums, Tokens, z_scores
from service.editing.hook_layer import HookLayer, HookLayers
from service.editing.hooked import ByText, opened
from service.editing.taps import After, after
from service.engine.grid import Grid, Stretch, on_rows
from service.engine.watching import Watching


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


def adding(
    model: PreTrainedModel,
    overlay: HookLayers,
    group: Sequence[Stretch],
    memory: Memory,
    watching: Watching,
) -> AbstractContextManager[None]:
    rows = [row for one in group for row in range(one.row, one.row + one.length)]
    at = torch.tensor(rows, device=model.device)
    whole_until = len(rows) if rows == [*range(len(rows))] else 0
    watch = watching(at)
    sides = _sides(group, model.device) if overlay.gate is Gate.SEQUENCE else []

    def function(number: int, layer: HookLayer) -> After:
        by_text = _scoring(number, sides, memory)

        def change(inputs: Tensor, outputs: Tensor) -> Tensor:
            every = len(outputs) == whole_until
            inputs = inputs if every else inputs[at]
            added, scores = opened(layer, overlay.gate, inputs, by_text)
            watch.added(number, layer, inputs, added, scores)
            added = added.to(outputs.dtype)
            return outputs + added if every else outputs.index_add(0, at, added)

        return on_rows(change, at.device)

    return after(
        {
            down_projection_of(model, number): function(number, layer)
            for number, layer in overlay.layers.items()
            if layer.updates
        }
    )


@dataclass(frozen=True)
class _Side:
    """Texts of a group side by side, all of them at their beginning or none."""

    grid: Grid  # of the group's tokens, as they lie end to end
    slots: Tensor  # [b]
    begun: bool


def _sides(group: Sequence[Stretch], device: torch.device) -> list[_Side]:
    starts = accumulate((one.length for one in group), initial=0)
    placed = [*zip(group, starts, strict=False)]
    sides = []
    for begun in (True, False):
        some = [(one, start) for one, start in placed if (one.past > 0) is begun]
        if some:
            stretches, firsts = zip(*some, strict=True)
            slots = torch.tensor([one.run.slot for one in stretches], device=device)
            sides.append(_Side(Grid.of(stretches, firsts, device), slots, begun))
    return sides


def _scoring(number: int, sides: Sequence[_Side], memory: Memory) -> ByText:
    def by_text(norms: Tensor) -> Tensor:
        scores = torch.empty_like(norms, dtype=torch.float64)
        for side in sides:
            grid = side.grid
            known = {number: memory.recall(number, side.slots)} if side.begun else {}
            tokens = Tokens(grid.present, grid.queries, known)
            laid = z_scores(norms[grid.rows], tokens, number)
            memory.keep(number, side.slots, tokens.sums[number])
            scores[grid.rows[grid.present]] = laid[grid.present]
        return scores

    return by_text
