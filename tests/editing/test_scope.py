"""The rule by which each given phrasing gets an entry of its own, on keys in the plane."""

import random
from dataclasses import replace

import pytest
import torch

from service.editing.changes import decode, encode
from service.editing.codebook import Codebook, Rule, Target
from service.editing.codebook_change import CodebookChange
from tests.editing.plane import SITE, answers, phrased, reaching, target
from tests.shapes import small

RULE = Rule(radius=1.0)


def grown(*targets: Target, rule: Rule = RULE) -> Codebook:
    return Codebook.empty().insert(SITE, targets, rule)


def test_each_phrasing_has_an_entry_of_its_own() -> None:
    codebook = grown(phrased(1, (0, 0), (0.5, 0), (0, 1.5)))
    assert codebook.keys.tolist() == [[0, 0], [0.5, 0], [0, 1.5]]
    assert codebook.radii.tolist() == [1.0] * 3
    assert answers(codebook, (-0.9, 0), (1.4, 0), (0, 2.4)) == [1, 1, 1]


def test_keys_begin_with_radii_of_their_own() -> None:
    codebook = grown(reaching(1, (0, 0), (3, 0), radii=(0.5, 0.25)))
    assert codebook.radii.tolist() == [0.5, 0.25]
    assert answers(codebook, (0.4, 0), (2.7, 0)) == [1, None]


def test_an_entry_that_is_taken_over_reaches_no_further_than_the_new_one() -> None:
    codebook = grown(target(1, (0, 0)), replace(reaching(2, (0, 0), radii=(0.5,)), labels=((8,),)))
    assert (codebook.owners, codebook.radii.tolist()) == ((2,), [0.5])
    codebook = codebook.insert(SITE, [target(3, (0, 0), (9,))], RULE)
    assert (codebook.owners, codebook.radii.tolist()) == ((3,), [0.5])


def test_a_change_tells_whose_place_an_edit_takes() -> None:
    before = grown(target(1, (0, 0)), target(2, (3, 0)), target(3, (9, 9)))
    targets = (phrased(4, (0, 0), (3, 0), label=(8,)), target(5, (9, 9)))
    state = before.insert(SITE, targets, RULE)
    change = CodebookChange(SITE, targets, state.difference(before))
    assert change.overruled(before) == {4: 2}  # the fifth says what the third said
    assert change.overruled(None) == {}


def test_without_a_radius_anywhere_there_is_no_entry() -> None:
    with pytest.raises(ValueError, match="nothing says how far the keys of edit 1 reach"):
        grown(target(1, (0, 0)), rule=Rule())


def test_an_edit_near_another_of_the_same_label_leaves_that_one_its_entry() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (0.5, 0)))
    assert (codebook.owners, codebook.radii.tolist()) == ((1, 2), [1.0, 1.0])
    assert codebook.values[:, 0].tolist() == [1.0, 2.0]


def test_another_label_splits_the_radii() -> None:
    codebook = grown(target(1, (0, 0)), target(2, (1.5, 0), (8,)))
    assert codebook.radii.tolist() == pytest.approx([0.75 - 1e-5, 0.75], abs=1e-7)
    assert answers(codebook, (0.7, 0), (0.8, 0)) == [1, 2]


def test_a_split_makes_no_radius_larger() -> None:
    first = grown(target(1, (0, 0)), target(2, (0, 0.2), (8,)))
    narrow = float(first.radii[0])
    codebook = first.insert(SITE, [target(3, (0.9, 0), (9,))], RULE)
    assert codebook.radii.tolist() == pytest.approx([narrow, 0.1, 0.45], abs=1e-7)
    codebook = first.insert(SITE, [target(3, (0, 2.1), (9,))], RULE)
    assert codebook.radii.tolist() == pytest.approx([narrow, 0.1, 1.0], abs=1e-7)


def test_no_later_edit_takes_a_given_phrasing() -> None:
    """Batches of edits in a crowd, of four labels: each answers at all its keys in the end."""
    chosen = random.Random(0)
    targets = [
        phrased(edit, *keys, label=(chosen.randrange(4),))
        for edit in range(60)
        for keys in [[(chosen.uniform(0, 4), chosen.uniform(0, 4)) for _ in range(3)]]
    ]
    codebook = Codebook.empty()
    for start in range(0, 60, 7):
        codebook = codebook.insert(SITE, targets[start : start + 7], RULE)
    for one in targets:
        keys = [(x, y) for x, y in one.keys.tolist()]
        assert answers(codebook, *keys) == [one.edit_id] * 3


def test_a_spelling_deep_in_its_own_edits_entry_needs_none() -> None:
    codebook = grown(phrased(1, (0, 0), spelled=((0.5, 0), (0.51, 0))))
    assert codebook.keys.tolist() == [[0, 0], pytest.approx([0.51, 0])]
    assert answers(codebook, (0.5, 0), (1.4, 0)) == [1, 1]


def test_a_spelling_at_a_given_phrasing_of_its_edit_leaves_the_value() -> None:
    """A prompt with a space behind is one whose target begins with a space, a token later."""
    keys = torch.tensor([[0.0, 0], [9, 0], [9, 0]])
    values = torch.tensor([[1.0, 0, 0], [2, 0, 0], [3, 0, 0]])
    spelled = (False, False, True)
    codebook = grown(Target(1, keys, values, ((6, 7), (7,), (7,)), (0, 1, 2), spelled))
    assert codebook.values[:, 0].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("label", [(7,), (8,)], ids=["same label", "other label"])
def test_a_spelling_in_another_edits_entry_gets_its_own(label: tuple[int]) -> None:
    codebook = grown(target(1, (0.3, 0), label), phrased(2, (9, 0), spelled=((0, 0),)))
    assert codebook.owners == (1, 2, 2)
    assert answers(codebook, (0, 0), (0.3, 0), (9, 0)) == [2, 1, 2]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_a_correction_of_a_correction_takes_its_own_phrasings_over(together: bool) -> None:
    """Their spellings go with them; what the first edit says otherwise it goes on to say."""
    first = phrased(1, (3, 4), (9, 0), spelled=((0, 9),))
    other = target(2, (-9, 0))
    second = phrased(3, (3, 4), label=(8,), spelled=((0, 9),))
    codebook = grown(first, other)
    codebook = grown(first, other, second) if together else codebook.insert(SITE, [second], RULE)
    assert answers(codebook, (3, 4), (9, 0), (0, 9), (-9, 0)) == [3, 1, 3, 2]
    assert codebook.labels == ((8,), (7,), (8,), (7,))
    assert len(codebook) == 4


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
def test_a_spelling_takes_no_given_phrasing_of_another_edit_over(together: bool) -> None:
    first = phrased(1, (3, 4), (9, 0))
    second = phrased(2, (20, 20), label=(8,), spelled=((9, 0),))
    codebook = grown(first)
    codebook = grown(first, second) if together else codebook.insert(SITE, [second], RULE)
    assert answers(codebook, (3, 4), (9, 0), (20, 20)) == [1, 1, 2]


def test_the_same_correction_again_takes_over_its_own_place_alone() -> None:
    codebook = grown(phrased(1, (3, 4), (9, 0)), target(2, (3, 4)))
    assert (codebook.owners, codebook.labels) == ((2, 1), ((7,), (7,)))


@pytest.mark.parametrize(("noise", "entries"), [(0.0, 2), (0.009, 2), (0.011, 1)])
def test_keys_within_the_noise_are_one_place(noise: float, entries: int) -> None:
    """The second lies 0.05 from the first, a hundredth of its length."""
    rule = replace(RULE, noise=noise)
    codebook = grown(target(1, (3, 4)), target(2, (3.03, 4.04), (8,)), rule=rule)
    assert len(codebook) == entries
    assert answers(codebook, (3.03, 4.04)) == [2]
    assert answers(codebook, (3, 4)) == [1 if entries == 2 else 2]


def test_what_was_spelled_is_read_back() -> None:
    targets = (phrased(1, (0, 0), spelled=((0.2, 0), (5, 0))), phrased(2, (9, 0), label=(8,)))
    codebook = grown(*targets)
    content = encode(CodebookChange(SITE, targets, codebook.difference(Codebook.empty())))
    read = decode(content, small(2, 3))
    assert isinstance(read, CodebookChange)
    assert [one.spelled for one in read.targets] == [(False, True, True), (False,)]
    assert grown(*read.targets).checksum == codebook.checksum


def test_artifacts_of_before_have_no_spellings() -> None:
    targets = (phrased(1, (0, 0), (0.2, 0)),)
    change = CodebookChange(SITE, targets, grown(*targets).difference(Codebook.empty()))
    tensors = change.tensors()
    del tensors["targets.spelled"]
    (read,) = CodebookChange.read(change.header(), tensors, small(2, 3)).targets
    assert not any(read.is_spelled(key) for key in range(2))
    assert len(grown(read)) == 2
