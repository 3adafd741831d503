"""Hits are counted by edit, whatever its id."""

import torch

from service.editing.codebook import Codebook, Replacement, Rows, Site
from service.editing.shelf import Match
from service.engine.hits import ROOM, Hits

SITE = Site(1, "mlp", Replacement.LAST)


def codebook(*owners: int) -> Codebook:
    count = len(owners)
    numbers = torch.arange(2.0 * count).view(count, 2)
    labels = ((1,),) * count
    rows = Rows(tuple(range(count)), numbers, numbers, numbers[:, 0], labels, owners)
    return Codebook.empty().with_rows(SITE, rows)


def match(*entries: int) -> Match:
    entry = torch.tensor(entries)
    return Match(entry, torch.zeros(len(entries)), torch.ones(len(entries)).bool(), entry)


def test_ids_of_any_size_share_the_room_and_versions_share_the_counts() -> None:
    hits = Hits()
    hits.count(codebook(2**61, 7, 2**61), match(0, 1, 2))
    hits.count(codebook(3, 7), match(1, 1, 0))
    assert [hits.of(edit) for edit in (2**61, 7, 3, 1)] == [2, 3, 1, 0]
    more = codebook(*range(1, ROOM + 5))
    hits.count(more, match(ROOM + 3, 6))
    assert [hits.of(edit) for edit in (2**61, 7, ROOM + 4, 1)] == [2, 4, 1, 0]
    assert hits.total == 8
