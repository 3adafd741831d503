"""What an artifact of a codebook may hold: all that the insertion rule makes, and no more."""

from dataclasses import replace

import pytest
import torch

from service.editing.changes import decode, encode
from service.editing.codebook import SPLIT_GAP, Codebook, Replacement, Rule, Scope, Site, Target
from service.editing.codebook_change import CodebookChange
from service.errors import ArtifactFaultError
from tests.shapes import small

SITE = Site(1, "mlp", Replacement.LAST)
SHAPE = small(2, 2)
RULE = Rule(0.1, Scope.PAPER)


def target(edit_id: int, key: float, value: float = 1.0) -> Target:
    numbers = torch.tensor([[key, 0.0]])
    return Target(edit_id, numbers, torch.full((1, 2), value), ((edit_id,),), (0,))


def artifact(*targets: Target) -> bytes:
    state = Codebook.empty().insert(SITE, targets, RULE)
    return encode(CodebookChange(SITE, targets, state.difference(Codebook.empty())))


def test_a_split_may_leave_less_than_no_radius() -> None:
    """Two short keys, closer than twice the gap: the older one fires nowhere from then on."""
    content = artifact(target(1, 0.001), target(2, 0.001 + SPLIT_GAP))
    change = decode(content, SHAPE)
    assert isinstance(change, CodebookChange)
    assert -SPLIT_GAP < float(change.rows.radii.min()) < 0


def test_keys_are_numbers_that_the_models_dtype_has() -> None:
    narrow = replace(SHAPE, dtype=torch.bfloat16)
    decode(artifact(target(1, 0.5)), narrow)
    with pytest.raises(
        ArtifactFaultError, match=r"rows\.keys holds numbers that no model in torch\.b"
    ):
        decode(artifact(target(1, 0.1)), narrow)


def test_radii_of_keys_are_read_as_they_were_written() -> None:
    one = replace(target(1, 0.5), radii=(0.25,))
    change = decode(artifact(one), SHAPE)
    assert isinstance(change, CodebookChange)
    assert [target.radii for target in change.targets] == [(0.25,)]
    before = decode(artifact(target(1, 0.5)), SHAPE)
    assert isinstance(before, CodebookChange)
    assert [target.radii for target in before.targets] == [()]
    rows = Codebook.empty().insert(SITE, [one], RULE).rows([0])
    wrong = encode(CodebookChange(SITE, (replace(one, radii=(-0.25,)),), rows))
    with pytest.raises(ArtifactFaultError, match=r"targets\.radii holds a radius below 0"):
        decode(wrong, SHAPE)


def test_values_stay_finite_in_the_models_dtype() -> None:
    content = artifact(target(1, 0.5, 1e6))
    decode(content, replace(SHAPE, dtype=torch.bfloat16))
    with pytest.raises(
        ArtifactFaultError, match=r"rows\.values holds numbers that are not finite in"
    ):
        decode(content, replace(SHAPE, dtype=torch.float16))


def test_a_version_without_rows_or_targets() -> None:
    change = CodebookChange(SITE, (), Codebook.empty().difference(Codebook.empty()))
    assert decode(encode(change), SHAPE).over(None) is None
