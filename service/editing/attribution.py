"""Which edit is behind what a hook layer adds at a token."""

import torch
from torch import Tensor

from service.editing.hook_layer import HookLayer


def strongest(layer: HookLayer, keys: Tensor) -> list[int | None]:
    """The edit with the largest part in the layer's change at each of `keys` [k, d_in], float32 on
    the CPU; None where the edits are not known.

    The change is a sum of one term an edit, left_i (right_i . key). A term's part is its projection
    onto the whole change: the parts add up to the change's norm.
    """
    weights = [keys.to(update.right) @ update.right for update in layer.updates]  # [k, n] each
    terms = [
        (weight @ update.left.T).float()
        for weight, update in zip(weights, layer.updates, strict=True)
    ]
    change = torch.stack(terms).sum(dim=0)  # [k, d_out]
    parts = [
        weight * (change.to(update.left) @ update.left)
        for weight, update in zip(weights, layer.updates, strict=True)
    ]
    edits = [
        edit for update in layer.updates for edit in update.edits or [None] * update.left.shape[1]
    ]
    return [edits[column] for column in torch.cat(parts, dim=1).argmax(dim=1).tolist()]
