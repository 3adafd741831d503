"""An editor's hyperparameters: the rule for every model, and what is given in its place."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from transformers import PreTrainedModel

from service.editing.architectures import (
    architecture_of,
    down_projection_of,
    layers_of,
    weight_of,
)
from service.editing.entity.editor import Entity, EntityHyperparameters
from service.editing.gates import Gate
from service.editing.grace import Grace, GraceHyperparameters, noise_of
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.model_shape import is_attention
from service.errors import FieldError, InvalidRequestError

Hyperparameters = EntityHyperparameters | GraceHyperparameters | LocateHyperparameters
FIELD = "hyperparameters"
# GRACE's layer is about three quarters up, as its paper chose for GPT2-XL (35 of 48).
GRACE_DEPTH = 0.73
# What a question asks for is read halfway up.
ENTITY_DEPTH = 0.54
ENTITY_NOISE = 1e-3
# Locate-and-edit's last layer is a quarter up and has an eighth of all below it, at most four: as
# on Llama 2 and 3, Mistral and Qwen 2.5 (4 to 8 of 32 or 28).
LOCATE_DEPTH = 0.25
LOCATE_SHARE = 8
LOCATE_BELOW = 4
KINDS: dict[str, type[Hyperparameters]] = {
    Grace.name: GraceHyperparameters,
    Entity.name: EntityHyperparameters,
}
# Each takes a millisecond to make, and every edit is read by one.
ADAPTERS: dict[type[Hyperparameters], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind)
    for kind in (EntityHyperparameters, GraceHyperparameters, LocateHyperparameters)
}


def rule(model: PreTrainedModel, editor: str) -> dict[str, Any]:
    """What a model gets that nobody has tuned the editor for."""
    count = len(layers_of(model))
    if editor == Grace.name:
        return {
            "layer": int(GRACE_DEPTH * count),
            "module": architecture_of(model).codebook_module,
            "noise": noise_of(model.dtype),
        }
    if editor == Entity.name:
        return {
            "layer": int(ENTITY_DEPTH * count),
            "sentence_layer": int(ENTITY_DEPTH * count) // 2,
            "noise": max(ENTITY_NOISE, noise_of(model.dtype)),
        }
    last = int(LOCATE_DEPTH * count)
    single = METHODS[editor].one_by_one or editor == "emmet"
    below = 0 if single else min(LOCATE_BELOW, count // LOCATE_SHARE, last)
    width = weight_of(down_projection_of(model, last)).shape[1]
    return {
        "layers": list(range(last - below, last + 1)),
        # On the models of the literature, 15,000 at widths of 6,400 to 16,384.
        "second_moment_weight": float(width),
    }


def default_grid(model: PreTrainedModel, editor: str) -> dict[str, list[Any]]:
    """What is worth trying on a model that nobody has tuned the editor for."""
    count = len(layers_of(model))
    if editor == Grace.name:
        depths = (count // 2, int(GRACE_DEPTH * count), int(0.9 * count))
        return {"layer": sorted(set(depths))}
    if editor == Entity.name:
        return {"layer": sorted({int(depth * count) for depth in (0.4, ENTITY_DEPTH, 0.67)})}
    rule_layers = rule(model, editor)["layers"]
    width = len(rule_layers)
    lasts = sorted({count // 8, count // 4, 3 * count // 8})
    weight = rule(model, editor)["second_moment_weight"]
    return {
        "layers": [list(range(max(0, last - width + 1), last + 1)) for last in lasts],
        "second_moment_weight": [weight / 10, weight],
        "clamp_norm_factor": [0.75, 2.0],
        "steps": [20, 40],
    }


def hyperparameters_of(
    model: PreTrainedModel, editor: str, *given: Mapping[str, Any]
) -> Hyperparameters:
    """The rule with what is `given` in its place, the later before the earlier. Raises
    `InvalidRequestError` for unknown names, wrong values and layers that the model lacks.
    """
    values = rule(model, editor)
    for some in given:
        values |= some
    kind = KINDS.get(editor, LocateHyperparameters)
    unknown = sorted(set(values) - set(kind.__dataclass_fields__))
    if unknown:
        raise InvalidRequestError(
            [FieldError(f"{FIELD}.{name}", f"'{editor}' has no such one") for name in unknown]
        )
    try:
        found: Hyperparameters = ADAPTERS[kind].validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        faults = [(".".join(map(str, (FIELD, *e["loc"]))), e["msg"]) for e in error.errors()]
        raise InvalidRequestError([FieldError(*fault) for fault in faults]) from error
    if isinstance(found, GraceHyperparameters):
        fault = _grace_fault(model, found)
    elif isinstance(found, EntityHyperparameters):
        fault = _entity_fault(model, found)
    else:
        fault = _locate_fault(model, editor, found)
    if fault is not None:
        raise InvalidRequestError([fault])
    return found


def known_layers(model: PreTrainedModel, numbers: Sequence[int]) -> None:
    """Raises `InvalidRequestError` for layers that the model lacks."""
    count = len(layers_of(model))
    faults = [FieldError("layers", _missing(n, count)) for n in numbers if not 0 <= n < count]
    if faults:
        raise InvalidRequestError(faults)


def structure_of(editor: str, found: Hyperparameters) -> str:
    """What a log keeps edits in by these. All batches of one log share it: a codebook's keys were
    cached at one place, and hook layers move what later ones see.
    """
    if isinstance(found, GraceHyperparameters):
        return (
            f"a codebook at layer {found.layer}, module '{found.module}', with "
            f"'{found.replacement}'"
        )
    if isinstance(found, EntityHyperparameters):
        return f"entity entries with keys of layers {found.layer} and {found.sentence_layer}"
    gate = METHODS[editor].gate(found)
    kind = "plain" if gate is Gate.ALWAYS else "validated"
    return f"{kind} hook layers with the gate '{gate}'"


def _grace_fault(model: PreTrainedModel, found: GraceHyperparameters) -> FieldError | None:
    fault = _layer_fault(model, found.layer)
    if fault is not None:
        return fault
    layers = layers_of(model)
    try:
        layers[found.layer].get_submodule(found.module)
    except AttributeError:
        known = ", ".join(name for name, _ in layers[found.layer].named_modules() if name)
        reason = f"layer {found.layer} has no module '{found.module}'; it has: {known}"
        return FieldError(f"{FIELD}.module", reason)
    if is_attention(found.module):
        return FieldError(f"{FIELD}.module", "must map one tensor to one: attention does not")
    return None


def _entity_fault(model: PreTrainedModel, found: EntityHyperparameters) -> FieldError | None:
    if found.sentence_layer > found.layer:
        return FieldError(f"{FIELD}.sentence_layer", f"is behind layer {found.layer}")
    return _layer_fault(model, found.layer)


def _layer_fault(model: PreTrainedModel, layer: int) -> FieldError | None:
    count = len(layers_of(model))
    return None if layer < count else FieldError(f"{FIELD}.layer", _missing(layer, count))


def _locate_fault(
    model: PreTrainedModel, editor: str, found: LocateHyperparameters
) -> FieldError | None:
    count = len(layers_of(model))
    field = f"{FIELD}.layers"
    if list(found.layers) != sorted(set(found.layers)):
        return FieldError(field, "must ascend, each layer once")
    last = found.layers[-1]
    if last >= count:
        return FieldError(field, _missing(last, count))
    if last == count - 1:
        return FieldError(field, f"layer {last} is the model's last: none is left to use it")
    if METHODS[editor].one_by_one and len(found.layers) > 1:
        return FieldError(field, f"'{editor}' edits one layer")
    return None


def _missing(layer: int, count: int) -> str:
    return f"the model has no layer {layer}; it has 0 to {count - 1}"
