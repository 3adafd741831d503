"""Watches an overlay act in a pass: counts, and notes what texts ask to be explained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from service.domain.subject_index import WHOLE
from service.editing.codebook import Codebook
from service.editing.entity.book import EntityBook
from service.editing.entity.book import Match as Found
from service.editing.hook_layer import HookLayer
from service.editing.shelf import Match
from service.engine.explaining import Spot
from service.engine.hits import Hits
from service.engine.reading import Said


@dataclass(frozen=True)
class Watch:
    """Waits for the device only where a text of the pass asks."""

    hits: Hits
    spots: Mapping[int, Spot]  # tokens of texts that ask, by row; other overlays' too
    rows: Tensor  # [...]: of the tokens that the overlay sees

    def answered(self, codebook: Codebook, queries: Tensor, match: Match) -> None:
        """Is told of the look-up of the tokens at `queries` [...], text by text."""
        self.hits.count(codebook, match)
        if not self.spots or codebook.site is None:
            return
        found = zip(
            self.rows[queries].tolist(),
            match.entry.tolist(),
            match.distance.tolist(),
            match.fires.tolist(),
            strict=True,
        )
        for row, entry, distance, fired in found:
            spot = self.spots.get(row)
            if spot is not None:
                edit, radius = codebook.owners[entry], float(codebook.radii[entry])
                spot.record.answered(spot, codebook.site.layer, edit, distance, radius, fired)

    def said(self, row: int, book: EntityBook, said: Said) -> None:
        """Is told of an answer that is given at one token."""
        edit = book.answers[said.answer].owner
        self.hits.add(edit)
        spot = self.spots.get(row)
        if spot is not None and said.match is None and book.space is not None:
            spot.record.went_on(spot, book.space.layer, edit)

    def asked(self, row: int, book: EntityBook, match: Found | None) -> None:
        """Is told of the entry that was found for one token."""
        spot = self.spots.get(row)
        if spot is not None and match is not None and book.space is not None:
            edit = book.answers[match.answer].owner
            spot.record.answered(
                spot,
                book.space.layer,
                edit,
                match.distance,
                match.radius,
                match.fires,
                book.entries[match.entry].subject.removeprefix(WHOLE),
            )

    def added(
        self,
        number: int,
        layer: HookLayer,
        inputs: Tensor,
        change: Tensor,
        scores: Tensor | None,
    ) -> None:
        """Is told of what a hook layer adds, as `service.editing.hooked.Seen` says."""
        if not self.spots:
            return
        asked = torch.isin(self.rows, torch.tensor([*self.spots]).to(self.rows))
        if scores is None:
            sizes = torch.linalg.vector_norm(change, dim=-1)
        else:
            asked &= scores >= layer.alpha
            sizes = scores
        keys = inputs[asked].float().cpu()
        for row, size, key in zip(
            self.rows[asked].tolist(), sizes[asked].tolist(), keys, strict=True
        ):
            spot = self.spots[row]
            if scores is None:
                spot.record.changed(spot, number, size, key)
            else:
                spot.record.opened(spot, number, size, layer.alpha, key)


# Rows of a pass to who watches them.
Watching = Callable[[Tensor], Watch]
