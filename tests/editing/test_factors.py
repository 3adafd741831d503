"""The precision of a change's factors: float64 where float32 would lose digits of their product."""

import torch
from torch import Tensor

from service.editing.attribution import strongest
from service.editing.changes import decode, encode
from service.editing.factors import kept
from service.editing.gates import Gate
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.hooks_change import HooksChange
from service.editing.update_rules import Insertion, emmet, memit
from tests.shapes import small

KEY, VALUE, COLUMNS = 48, 16, 4


def insertion(apart: float) -> Insertion:
    """Keys that lie `apart`, relative to their lengths, and want the same residual."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(KEY, 1, generator=generator) + apart * torch.randn(
        KEY, COLUMNS, generator=generator
    )
    residuals = torch.randn(VALUE, 1, generator=generator) + 1e-3 * torch.randn(
        VALUE, COLUMNS, generator=generator
    )
    moment = torch.eye(KEY).double()
    return Insertion(keys.double(), keys.double(), residuals.double(), moment, moment, ridge=0.0)


def update(left: Tensor, right: Tensor) -> Update:
    nothing = torch.empty(KEY, 0)
    return Update(*kept(left, right), nothing, nothing, (5, 6, 7, 8))


def error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


def test_terms_that_cancel_are_kept_in_float64() -> None:
    left, right = emmet(insertion(1e-4))
    assert error(left.float() @ right.float().T, left @ right.T) > 1e-5
    one = update(left, right)
    assert (one.left.dtype, one.right.dtype) == (torch.float64, torch.float64)
    layer = HookLayer((one,))
    assert layer.delta.dtype == torch.float32
    assert error(layer.delta, left @ right.T) < 1e-7
    grown = layer.with_update(one)
    assert torch.equal(grown.delta, 2 * layer.delta)


def test_others_take_half_the_room() -> None:
    for rule in (emmet, memit):
        left, right = rule(insertion(1.0))
        one = update(left, right)
        assert (one.left.dtype, one.right.dtype) == (torch.float32, torch.float32)
        assert error(one.change, left @ right.T) < 2e-6


def test_terms_that_cancel_altogether_are_kept_in_float64() -> None:
    left = torch.ones(VALUE, 2).double()
    right = torch.tensor([[1.0, -1.0]]).expand(KEY, 2).double() / 3
    assert kept(left, right)[0].dtype == torch.float64


def test_an_artifact_gives_them_back() -> None:
    state = HookLayers(Gate.ALWAYS, {3: HookLayer((update(*emmet(insertion(1e-4))),))})
    change = decode(encode(HooksChange.between(None, state, ())), small(KEY, VALUE))
    assert isinstance(change, HooksChange)
    read = change.over(None)
    assert read is not None
    assert read.checksum == state.checksum
    assert torch.equal(read.layers[3].delta, state.layers[3].delta)


def test_edits_are_named_by_them() -> None:
    """Beside an update in float32."""
    near, far = emmet(insertion(1e-4)), emmet(insertion(1.0))
    layer = HookLayer((update(*near), update(*far)))
    assert {one.left.dtype for one in layer.updates} == {torch.float64, torch.float32}
    assert set(strongest(layer, insertion(1e-4).keys.T.float())) <= {5, 6, 7, 8}
