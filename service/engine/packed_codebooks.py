"""Codebooks at work in a packed pass: all versions' of one site are looked up at once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from service.editing.codebook import Codebook, Replacement, Site, look_up
from service.editing.taps import after
from service.engine.grid import Grid, Stretch, on_rows
from service.engine.overlay import looked_up, module_at, replaced
from service.engine.watching import Watch, Watching


@dataclass(frozen=True)
class Asked:
    """One version's codebook, and the rows that it may change; its queries are looked up."""

    codebook: Codebook
    grid: Grid
    watch: Watch

    @classmethod
    def of(
        cls,
        codebook: Codebook,
        group: Sequence[Stretch],
        device: torch.device,
        watching: Watching,
    ) -> "Asked | None":
        """Of the texts that pin it; None if there is nothing to look up."""
        site = codebook.site
        if site is None:
            return None
        if site.replacement is Replacement.LAST:
            spans = [range(s.row + s.first_query, s.row + s.length) for s in group]
            if not any(spans):
                return None
            grid = Grid.line(spans, device)
        else:
            begun = site.replacement is Replacement.ALL
            seen = [one for one in group if begun or not one.past]
            if not seen:
                return None
            grid = Grid.of(seen, [one.row for one in seen], device)
            grid = replace(grid, queries=looked_up(site.replacement, grid.queries))
        return cls(codebook, grid, watching(grid.rows))


def answering(
    model: PreTrainedModel, site: Site, asked: Sequence[Asked]
) -> AbstractContextManager[None]:
    def change(inputs: Tensor, outputs: Tensor) -> Tensor:
        queries = [(one.codebook, inputs[one.grid.rows[one.grid.queries]]) for one in asked]
        for one, match in zip(asked, look_up(queries), strict=True):
            one.watch.answered(one.codebook, one.grid.queries, match)
            own = outputs[one.grid.rows]
            answers = replaced(match, site.replacement, own, one.grid.queries)
            outputs = one.grid.over(outputs, answers)
        return outputs

    return after({module_at(model, site): on_rows(change, asked[0].grid.rows.device)})
