"""Whose part a hook layer's change is: by hand, and as the log keeps it."""

from dataclasses import replace

import torch

from service.editing.attribution import strongest
from service.editing.changes import decode, encode
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooks_change import HooksChange
from tests.shapes import small


def update(edits: tuple[int, ...], columns: int, seed: int) -> Update:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(6, columns, generator=generator)
    right = torch.randn(8, columns, generator=generator)
    return Update(left, right, right[:, :0], right[:, :0], edits)


LAYER = HookLayer((update((5, 2), 2, 0), update((9,), 1, 1)))


def test_parts_add_up_and_the_largest_is_named() -> None:
    keys = torch.randn(20, 8, generator=torch.Generator().manual_seed(2))
    expected = []
    for key in keys:
        change = LAYER.delta @ key
        terms = {
            edit: left * (right @ key)
            for one in LAYER.updates
            for edit, left, right in zip(one.edits, one.left.T, one.right.T, strict=True)
        }
        parts = {edit: float(term @ change / change.norm()) for edit, term in terms.items()}
        torch.testing.assert_close(torch.tensor(sum(parts.values())), change.norm())
        expected.append(max(parts, key=lambda edit: parts[edit]))
    assert set(expected) == {2, 5, 9}
    assert strongest(LAYER, keys) == expected


def test_the_log_keeps_whose_the_columns_are_and_the_checksum_does_not_go_by_it() -> None:
    state = HookLayers(Gate.ALWAYS, {3: LAYER})
    change = decode(encode(HooksChange.between(None, state, ())), small(8, 6))
    assert isinstance(change, HooksChange)
    read = change.over(None)
    assert read is not None
    assert [one.edits for one in read.layers[3].updates] == [(5, 2), (9,)]
    unknown = HookLayer(tuple(replace(one, edits=()) for one in LAYER.updates))
    assert HookLayers(Gate.ALWAYS, {3: unknown}).checksum == read.checksum == state.checksum


def test_an_artifact_that_does_not_say_names_nobody() -> None:
    change = HooksChange.between(None, HookLayers(Gate.ALWAYS, {3: LAYER}), ())
    tensors = {
        name: t
        for name, t in change.tensors().items()
        if not name.startswith("layer.") or not name.endswith(".edits")
    }
    old = HooksChange.read(change.header(), tensors, small(8, 6))
    assert strongest(old.layers[3], torch.ones(1, 8)) == [None]
