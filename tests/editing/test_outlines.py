"""Whether a change fits its parent is told without the parent's numbers."""

from dataclasses import replace

import pytest
import torch

from service.editing.codebook import Replacement, Rows, Site
from service.editing.codebook_change import CodebookChange
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooks_change import HooksChange
from service.editing.outlines import CodebookOutline, HooksOutline, Outline, outline_of
from service.errors import ArtifactFaultError

SITE = Site(1, "mlp", Replacement.LAST)
NARROW = torch.ones(2, 1)
HOOKS = HooksChange(
    Gate.ALWAYS, {3: HookLayer((Update(NARROW, NARROW, NARROW[:, :0], NARROW[:, :0]),))}, ()
)


def rows(*index: int) -> CodebookChange:
    count = len(index)
    numbers = torch.ones(count, 2)
    labels = ((1,),) * count
    owners = (1,) * count
    return CodebookChange(SITE, (), Rows(index, numbers, numbers, numbers[:, 0], labels, owners))


@pytest.mark.parametrize("index", [(0,), (0, 1, 2)])
def test_a_codebooks_is_that_of_the_state(index: tuple[int, ...]) -> None:
    first = rows(*index)
    assert first.outline(None) == outline_of(first.over(None)) == CodebookOutline(SITE, len(index))
    second = rows(0, len(index), len(index) + 1)
    grown = second.over(first.over(None))
    assert second.outline(first.outline(None)) == outline_of(grown)
    assert outline_of(grown) == CodebookOutline(SITE, len(index) + 2)


def test_that_of_hook_layers_is_that_of_the_state() -> None:
    state = HOOKS.over(None)
    assert HOOKS.outline(None) == outline_of(state) == HooksOutline(Gate.ALWAYS, frozenset({3}))
    shut = HooksChange(Gate.ALWAYS, {3: HookLayer()}, ())
    assert shut.outline(HOOKS.outline(None)) == outline_of(shut.over(state)) == outline_of(state)


def test_a_change_of_nothing_fits_whatever_it_is_over() -> None:
    for parent in (None, CodebookOutline(SITE, 3), HooksOutline(Gate.ALWAYS, frozenset({3}))):
        assert rows().outline(parent) == parent
        assert HooksChange(Gate.SEQUENCE, {}, ()).outline(parent) == parent


@pytest.mark.parametrize(
    ("change", "parent", "part"),
    [
        (rows(1), None, "rows.index"),
        (rows(0, 2), None, "rows.index"),
        (rows(4), CodebookOutline(SITE, 3), "rows.index"),
        (rows(3, 5), CodebookOutline(SITE, 3), "rows.index"),
        (rows(0), CodebookOutline(replace(SITE, layer=2), 1), "site"),
        (rows(0), HooksOutline(Gate.ALWAYS, frozenset({1})), "rows.index"),
        (HOOKS, CodebookOutline(SITE, 3), "layers"),
        (HOOKS, HooksOutline(Gate.SEQUENCE, frozenset({3})), "gate"),
        (HooksChange(Gate.ALWAYS, {2: HookLayer()}, ()), HOOKS.outline(None), "layers.2"),
    ],
)
def test_what_does_not_fit_names_its_part(
    change: CodebookChange | HooksChange, parent: Outline, part: str
) -> None:
    with pytest.raises(ArtifactFaultError) as caught:
        change.outline(parent)
    assert caught.value.part == part


def test_over_goes_by_it() -> None:
    with pytest.raises(ArtifactFaultError):
        rows(1).over(None)
    with pytest.raises(ArtifactFaultError):
        HOOKS.over(HookLayers(Gate.SEQUENCE, HOOKS.layers))
