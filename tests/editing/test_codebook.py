"""A codebook, and the rule of GRACE's paper that grows it, on keys in the plane."""

import pytest
import torch
from torch import Tensor

from service.editing.blocks import BLOCK
from service.editing.changes import decode, encode
from service.editing.codebook import Codebook, Replacement, Rule, Scope, Site, Target
from service.editing.codebook_change import CodebookChange
from service.errors import ConflictError
from tests.editing.plane import SITE, answers, target
from tests.shapes import small

PAPER = Rule(radius=1.0, scope=Scope.PAPER)
CHECKSUM = "8580ea43cd2fa0564e91af1bd6c83da17ca40d34c56cb20a2d4901da96ce2d06"


def grown(*targets: Target) -> Codebook:
    return Codebook.empty().insert(SITE, targets, PAPER)


def test_a_far_key_adds_an_entry() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (2.1, 0)))
    assert codebook.radii.tolist() == [1.0, 1.0]
    assert answers(codebook, (0.9, 0), (1.2, 0), (1.05, 5)) == [1, 2, None]


def test_a_near_key_with_the_same_label_widens_the_entry_and_renews_its_value() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (1.5, 0)))
    assert codebook.radii.tolist() == [1.5]
    assert codebook.values[0].tolist() == [2.0, 0.0, 0.0]
    assert codebook.keys.tolist() == [[0.0, 0.0]]


def test_a_key_inside_the_radius_does_not_shrink_it() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (1.5, 0)), target(3, (0.5, 0)))
    assert codebook.radii.tolist() == [1.5]


def test_a_near_key_with_another_label_splits_the_radii() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (1.5, 0), (8,)))
    assert codebook.radii.tolist() == pytest.approx([0.75 - 1e-5, 0.75], abs=1e-7)
    assert answers(codebook, (0.7, 0), (0.8, 0)) == [1, 2]


def test_with_noise_an_entry_reaches_beyond_the_key_that_widens_it() -> None:
    """It does so by what a key may move between passes: here 0.3, a tenth of its length."""
    rule = Rule(radius=1.0, scope=Scope.PAPER, noise=0.1)
    targets = [target(1, (1.5, 0)), target(2, (3, 0))]
    codebook = Codebook.empty().insert(SITE, targets, rule)
    assert codebook.radii.tolist() == pytest.approx([1.5 + 0.3])
    assert answers(codebook, (3.29, 0), (3.31, 0)) == [2, None]


def test_with_noise_a_key_deep_in_an_entry_does_not_widen_it() -> None:
    rule = Rule(radius=1.0, scope=Scope.PAPER, noise=0.1)
    codebook = Codebook.empty().insert(SITE, [target(1, (1.5, 0)), target(2, (2, 0))], rule)
    assert codebook.radii.tolist() == [1.0]


def test_a_correction_of_a_correction_takes_its_entry_over() -> None:
    codebook = grown(target(1, (3, 4)), target(2, (3, 4), (8,)))
    assert (len(codebook), codebook.radii.tolist(), codebook.labels) == (1, [1.0], ((8,),))
    assert answers(codebook, (3, 4)) == [2]


def test_further_keys_lead_to_the_same_value() -> None:
    keys = torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    both = Target(1, keys, torch.tensor([[5.0, 5.0, 5.0]]), ((7,),), (0, 0))
    codebook = grown(both)
    assert codebook.values.tolist() == [[5.0, 5.0, 5.0]] * 2


def test_inserting_leaves_the_old_codebook_as_it_was() -> None:
    old = grown(target(1, (0, 0)))
    before = old.checksum
    new = old.insert(SITE, [target(2, (1.5, 0), (8,))], PAPER)
    assert (len(old), old.checksum) == (1, before)
    assert new.difference(old).index == (0, 1)
    assert new.checksum != before


def test_rows_written_over_the_parent_give_the_very_state() -> None:
    old = grown(target(1, (0, 0)), target(2, (5, 0), (8, 9)))
    targets = (target(3, (1.2, 0)), target(4, (5.5, 0), (1,)))
    new = old.insert(SITE, targets, PAPER)
    change = CodebookChange(SITE, targets, new.difference(old))
    content = encode(change)
    assert encode(change) == content
    read = decode(content, small(2, 3))
    assert isinstance(read, CodebookChange)
    again = read.over(old)
    assert again is not None
    assert again.checksum == new.checksum
    assert [t.edit_id for t in read.targets] == [3, 4]
    assert old.insert(SITE, read.targets, PAPER).checksum == new.checksum


@pytest.mark.parametrize("what", ["keys", "values", "radii"])
def test_the_checksum_sees_every_bit(what: str) -> None:
    codebook = grown(target(1, (0, 0)))
    rows = codebook.rows([0])
    tensor: Tensor = getattr(rows, what)
    tensor.view(torch.int32)[(0,) * tensor.dim()] += 1
    assert codebook.with_rows(SITE, rows).checksum != codebook.checksum


def test_versions_share_all_blocks_but_those_that_differ() -> None:
    keys = [(3.0 * number, 0.0) for number in range(3 * BLOCK + 5)]
    old = grown(*(target(number, key) for number, key in enumerate(keys)))
    new = old.insert(SITE, [target(9_000, (0, 99)), target(9_001, (3.0 * BLOCK, 0.5))], PAPER)
    pairs = zip(old.value_table.blocks, new.value_table.blocks, strict=True)
    assert [one is other for one, other in pairs] == [True, False, True, False]
    assert new.owners[BLOCK] == 9_001
    assert torch.equal(new.values[BLOCK], torch.tensor([9_001.0, 0, 0]))
    assert len(new) == len(old) + 1
    assert new.values[:BLOCK].tolist() == old.values[:BLOCK].tolist()
    assert answers(new, (3.0 * BLOCK, 0), (0, 99), (6.0 * BLOCK, 0)) == [9_001, 9_000, 2 * BLOCK]


def test_checksums_are_those_of_old_logs() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (1.5, 0), (8,)))
    assert codebook.checksum == CHECKSUM


def test_a_codebook_has_one_site() -> None:
    with pytest.raises(ConflictError, match="layer=3"):
        grown(target(1, (0, 0))).insert(
            Site(4, "mlp", Replacement.LAST), [target(2, (9, 9))], PAPER
        )


def test_an_empty_codebook_has_any() -> None:
    other = Site(4, "mlp", Replacement.LAST)
    left_over = Codebook(site=SITE).insert(other, [target(2, (9, 9))], PAPER)
    assert left_over.site == other
    assert answers(left_over, (9, 9)) == [2]
    fresh = Codebook.empty().insert(other, [target(2, (9, 9))], PAPER)
    assert left_over.checksum == fresh.checksum
