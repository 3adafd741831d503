"""Whether an artifact of an entity book can be one of this model's: all that it holds, before it is
read.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor

from service.editing.codebook_checks import NO_TOKEN
from service.editing.entity.asking import Junction
from service.editing.entity.book import NONE
from service.editing.model_shape import ModelShape
from service.editing.parts import Parts, fields, number, whole_number
from service.errors import ArtifactFaultError

HEADER = ("format", "space", "subjects", "target_subjects")
LAYERS = ("layer", "sentence_layer")
RADII = ("asked_radius", "decoded_radius")
SPACE = ("asked", "asked_center", "decoded", "decoded_center")
ROWS = tuple(
    f"rows.{name}" for name in ("index", "keys", "radii", "given", "labels", "owners", "values")
)
TARGETS = tuple(
    f"targets.{name}"
    for name in (
        "edits",
        "key_counts",
        "label_counts",
        "keys",
        "radii",
        "answer_of",
        "junctions",
        "labels",
        "values",
    )
)
FARTHEST = 2.0  # of two directions


def check_entity(header: Any, tensors: Mapping[str, Tensor], shape: ModelShape) -> None:
    """Raises `ArtifactFaultError` for the first part that can't be."""
    found = fields(header, "the header", HEADER)
    parts = Parts(tensors)
    parts.check_names((*(f"space.{name}" for name in SPACE), *ROWS, *TARGETS))
    width = _check_space(found["space"], parts, shape)
    _check_rows(parts, found["subjects"], width, shape)
    _check_targets(parts, found["target_subjects"], width, shape)


def _check_space(space: Any, parts: Parts, shape: ModelShape) -> int:
    """The width of its keys."""
    found = fields(space, "space", (*LAYERS, *RADII))
    layer, sentence_layer = (
        whole_number(found[name], f"space.{name}", below=len(shape.layers)) for name in LAYERS
    )
    if sentence_layer > layer:
        raise ArtifactFaultError("space.sentence_layer", "is behind space.layer")
    for name in RADII:
        if not -FARTHEST <= number(found[name], f"space.{name}") <= FARTHEST:
            raise ArtifactFaultError(f"space.{name}", f"is beyond {FARTHEST:g}")
    asked, decoded = parts.columns("space.asked"), parts.columns("space.decoded")
    parts.floats("space.asked", 2 * shape.hidden, asked)
    parts.floats("space.asked_center", asked)
    parts.floats("space.decoded", shape.hidden, decoded)
    parts.floats("space.decoded_center", decoded)
    return asked + decoded


def _check_rows(parts: Parts, subjects: Any, width: int, shape: ModelShape) -> None:
    index = parts.integers("rows.index")
    if any(later <= earlier for earlier, later in pairwise(index)):
        raise ArtifactFaultError("rows.index", "does not ascend")
    count = len(index)
    _check_subjects("subjects", subjects, count)
    parts.floats("rows.keys", count, width)
    parts.floats("rows.radii", count, like="rows.radii")
    given = parts.integers("rows.given", len(Junction) * count, least=NONE)
    ways = len(Junction)
    if any(set(given[i : i + ways]) == {NONE} for i in range(0, len(given), ways)):
        raise ArtifactFaultError("rows.given", "has an entry without an answer")
    answers = len(parts.edits("rows.owners"))
    lengths = parts.labels("rows.labels", answers, vocabulary=shape.vocabulary, padding=NO_TOKEN)
    parts.floats("rows.values", sum(lengths), shape.hidden)


def _check_targets(parts: Parts, subjects: Any, width: int, shape: ModelShape) -> None:
    edits = parts.edits("targets.edits")
    if len(set(edits)) != len(edits):
        raise ArtifactFaultError("targets.edits", "names an edit twice")
    keys = parts.integers("targets.key_counts", len(edits), least=1)
    labels = parts.integers("targets.label_counts", len(edits), least=1)
    _check_subjects("target_subjects", subjects, sum(keys))
    parts.floats("targets.keys", sum(keys), width)
    parts.floats("targets.radii", sum(keys), like="targets.radii")
    parts.integers("targets.junctions", sum(labels), below=len(Junction))
    lengths = parts.labels(
        "targets.labels", sum(labels), vocabulary=shape.vocabulary, padding=NO_TOKEN
    )
    parts.floats("targets.values", sum(lengths), shape.hidden)
    parts.references("targets.answer_of", "answer", edits, keys, labels)


def _check_subjects(name: str, subjects: Any, count: int) -> None:
    if not isinstance(subjects, list) or len(subjects) != count:
        raise ArtifactFaultError(name, f"is no list of {count} names")
    if not all(isinstance(one, str) and one.strip() for one in subjects):
        raise ArtifactFaultError(name, "holds what is no name")
