"""Whether an artifact of a codebook can be one of this model's: all that it holds, before it is
read.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from service.editing.codebook import SPLIT_GAP, Replacement
from service.editing.model_shape import ModelShape, Widths, is_attention
from service.editing.parts import Parts, fields, shown, whole_number
from service.errors import ArtifactFaultError

NO_TOKEN = -1  # pads labels
SITE = ("layer", "module", "replacement")
ROWS = tuple(f"rows.{name}" for name in ("index", "keys", "values", "radii", "labels", "owners"))
TARGETS = tuple(
    f"targets.{name}"
    for name in ("edits", "key_counts", "value_counts", "keys", "values", "labels", "value_of")
)

# Artifacts of before spellings, and of before each key had a radius of its own, lack them.
SPELLED = "targets.spelled"
RADII = "targets.radii"


def check_codebook(header: Any, tensors: Mapping[str, Tensor], shape: ModelShape) -> None:
    """Raises `ArtifactFaultError` for the first part that can't be."""
    site = fields(fields(header, "the header", ("format", "site"))["site"], "site", SITE)
    widths = _widths(site, shape)
    parts = Parts(tensors)
    parts.check_names((*ROWS, *TARGETS), optional=(SPELLED, RADII))
    _check_rows(parts, widths, shape)
    _check_targets(parts, widths, shape)


def _widths(site: dict[str, Any], shape: ModelShape) -> Widths:
    layer = whole_number(site["layer"], "site.layer", below=len(shape.layers))
    module = site["module"]
    known = shape.layers[layer]
    if not isinstance(module, str) or module not in known or is_attention(module):
        raise ArtifactFaultError(
            "site.module",
            f"is {shown(module)}, and layer {layer} has no such module that maps one tensor to one",
        )
    if site["replacement"] not in list(Replacement):
        raise ArtifactFaultError(
            "site.replacement",
            f"is {shown(site['replacement'])}, and must be one of {', '.join(Replacement)}",
        )
    return known[module]


def _check_rows(parts: Parts, widths: Widths, shape: ModelShape) -> None:
    index = parts.integers("rows.index")
    if any(later <= earlier for earlier, later in pairwise(index)):
        raise ArtifactFaultError("rows.index", "does not ascend")
    count = len(index)
    _check_keys(parts, "rows.keys", count, widths, shape)
    _check_values(parts, "rows.values", count, widths, shape)
    radii = parts.floats("rows.radii", count)
    # A key within twice the gap of another one leaves the older no radius: it fires nowhere.
    if bool((radii < -SPLIT_GAP).any()):
        raise ArtifactFaultError(
            "rows.radii", f"holds {float(radii.min()):g}, and must hold none below {-SPLIT_GAP:g}"
        )
    parts.labels("rows.labels", count, vocabulary=shape.vocabulary, padding=NO_TOKEN)
    parts.edits("rows.owners", count)


def _check_targets(parts: Parts, widths: Widths, shape: ModelShape) -> None:
    edits = parts.edits("targets.edits")
    if len(set(edits)) != len(edits):
        raise ArtifactFaultError("targets.edits", "names an edit twice")
    keys = parts.integers("targets.key_counts", len(edits), least=1)
    values = parts.integers("targets.value_counts", len(edits), least=1)
    _check_keys(parts, "targets.keys", sum(keys), widths, shape)
    _check_values(parts, "targets.values", sum(values), widths, shape)
    parts.labels("targets.labels", sum(values), vocabulary=shape.vocabulary, padding=NO_TOKEN)
    parts.references("targets.value_of", "value", edits, keys, values)
    if SPELLED in parts:
        parts.integers(SPELLED, sum(keys), below=2)
    if RADII in parts and bool((parts.floats(RADII, sum(keys)) < 0).any()):
        raise ArtifactFaultError(RADII, "holds a radius below 0")


def _check_keys(parts: Parts, name: str, count: int, widths: Widths, shape: ModelShape) -> None:
    keys = parts.floats(name, count, widths.d_in)
    # Distances are of float32 squares.
    if not bool(keys.square().sum(dim=-1).isfinite().all()):
        raise ArtifactFaultError(name, "holds a key too long for its square to be finite")
    if shape.dtype is not torch.float32 and not torch.equal(keys.to(shape.dtype).float(), keys):
        raise ArtifactFaultError(name, f"holds numbers that no model in {shape.dtype} has")


def _check_values(parts: Parts, name: str, count: int, widths: Widths, shape: ModelShape) -> None:
    values = parts.floats(name, count, widths.d_out)
    if shape.dtype is not torch.float32 and not bool(values.to(shape.dtype).isfinite().all()):
        raise ArtifactFaultError(name, f"holds numbers that are not finite in {shape.dtype}")
