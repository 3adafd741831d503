"""Finds phrasings that an old log's codebook answers, or does not, as rounding will have it.

Batches of before rules were recorded widened an entry to exactly the distance of a phrasing, and
the passes that serve differ from those that measured it in the last digit.
"""

import logging
from collections.abc import Iterator

import torch
from torch import Tensor

from service.editing.codebook import Codebook, Target
from service.editing.codebook_change import CodebookChange
from service.editing.grace import LEAST_NOISE
from service.operations.editors import is_earliest
from service.operations.overlays import Overlays
from service.operations.past import Past
from service.operations.reading import Owner, Reading
from service.storage.log import Log
from service.storage.queue import EditQueue

SHOWN = 10  # ids of edits in a log line

logger = logging.getLogger(__name__)


def tell_edge_entries(log: Log, queue: EditQueue, overlays: Overlays, reading: Reading) -> None:
    """Warns of the edits whose phrasings lie on an edge, and says how to mend them."""
    state = overlays.current.state
    # A log whose first batch has its rule recorded is not read for this: so have those after it.
    first = next(iter(log.batches(after=0, limit=1)), None)
    if first is None or not is_earliest(first) or not isinstance(state, Codebook):
        return
    edits = edits_on_edge(Past(log, queue), state, reading)
    if edits:
        shown = ", ".join(map(str, edits[:SHOWN])) + (", ..." if len(edits) > SHOWN else "")
        logger.warning(
            "%d edits have phrasings on the very edge of their codebook entries, which may not be "
            "answered (edits %s): `errata log repair --reason TEXT` gives each phrasing an entry "
            "of its own, as a new version",
            len(edits),
            shown,
        )


def edits_on_edge(past: Past, state: Codebook, reading: Reading) -> list[int]:
    """Ids of the active edits with a phrasing whose distance to its entry is, within rounding, that
    entry's radius.
    """
    own_places = {key.numpy().tobytes() for key in state.keys}
    found = []
    for target in _targets(past, reading):
        keys = [
            (key, target.labels[value])
            for key, value in zip(target.keys, target.value_of, strict=True)
            if key.numpy().tobytes() not in own_places
        ]
        if keys and any(
            _on_edge(state, key, label, entry, distance)
            for (key, label), entry, distance in zip(
                keys, *_nearest(state, [key for key, _ in keys]), strict=True
            )
        ):
            found.append(target.edit_id)
    return sorted(found)


def _nearest(state: Codebook, keys: list[Tensor]) -> tuple[list[int], list[float]]:
    entries, distances = state.key_table.nearest(torch.stack(keys))
    return entries.tolist(), distances.tolist()


def _on_edge(
    state: Codebook, key: Tensor, label: tuple[int, ...], entry: int, distance: float
) -> bool:
    near = LEAST_NOISE * float(torch.linalg.vector_norm(key))
    edge = abs(float(state.radii[entry]) - distance)
    return state.labels[entry] == label and edge <= near


def _targets(past: Past, reading: Reading) -> Iterator[Target]:
    """Those that the batches of before rules were recorded brought."""
    for active, batch in past.earliest():
        change = reading.change(batch.artifact, Owner.of_batch(batch.id, batch.edit_ids))
        if isinstance(change, CodebookChange):
            yield from (t for t in change.targets if t.edit_id not in active.without)
