"""Which form a record has, by fields that no other form has."""

from typing import Any

from service.evaluation.datasets.counterfact import CounterFact, MQuAKE
from service.evaluation.datasets.easyedit import EasyEdit, WikiBio
from service.evaluation.datasets.fields import Shape
from service.evaluation.datasets.own import Own
from service.evaluation.datasets.ripple import RippleEdits
from service.evaluation.datasets.zsre import ZsRE

# The first with one of its fields in a record is its form.
SHAPES: dict[type[Shape], tuple[str, ...]] = {
    CounterFact: ("requested_rewrite",),
    RippleEdits: ("edit",),
    ZsRE: ("src", "alt"),
    WikiBio: ("labels", "concept"),
    EasyEdit: (
        "ground_truth",
        "rephrase_prompt",
        "locality_prompt",
        "locality_ground_truth",
        "locality",
        "portability",
        "rephrase",
    ),
    Own: ("prompt", "target_new"),
}


def shape_of(record: dict[str, Any]) -> type[Shape]:
    """Raises `ValueError` for a record that has none."""
    for shape, marks in SHAPES.items():
        if any(mark in record for mark in marks):
            several = isinstance(record.get("requested_rewrite"), list)
            return MQuAKE if several else shape
    known = ", ".join(marks[0] for marks in SHAPES.values())
    raise ValueError(f"has none of the fields {known}")
