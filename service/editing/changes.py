"""A version's artifact: safetensors bytes with what the version changes in its parent's state."""

import json
from typing import Any

from safetensors.torch import load, save

from service.editing import codebook_change, hooks_change
from service.editing.codebook_change import CodebookChange
from service.editing.entity import change as entity_change
from service.editing.entity.book import EntityBook
from service.editing.entity.change import EntityChange
from service.editing.hook_layer import HookLayers
from service.editing.hooks_change import HooksChange
from service.editing.model_shape import ModelShape
from service.editing.overlays import Overlay
from service.editing.parts import shown
from service.errors import ArtifactFaultError

Change = CodebookChange | EntityChange | HooksChange
KINDS: dict[str, type[CodebookChange] | type[EntityChange] | type[HooksChange]] = {
    codebook_change.FORMAT: CodebookChange,
    entity_change.FORMAT: EntityChange,
    hooks_change.FORMAT: HooksChange,
}


def whole(state: Overlay) -> Change:
    """A state as a change of the base model's."""
    if isinstance(state, HookLayers):
        return HooksChange.between(None, state, ())
    if isinstance(state, EntityBook):
        if state.space is None:
            raise ValueError("an empty book is no change")
        return EntityChange(state.space, (), state.rows(range(len(state)), 0))
    if state.site is None:
        raise ValueError("an empty codebook is no change")
    return CodebookChange(state.site, (), state.rows(range(len(state))))


def encode(change: Change) -> bytes:
    """The same change gives the same bytes."""
    return save(
        {name: tensor.contiguous() for name, tensor in change.tensors().items()},
        metadata={"errata": json.dumps(change.header(), sort_keys=True)},
    )


def decode(content: bytes, shape: ModelShape) -> Change:
    """The inverse of `encode`, for content whose hash was checked. Nothing else in it is believed:
    raises `ArtifactFaultError` for what can't be a change of a model of this `shape`.
    """
    try:
        # safetensors: eight bytes of header length, then JSON with our metadata in it.
        length = int.from_bytes(content[:8], "little")
        header: Any = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["errata"])
        tensors = load(content)
    except Exception as error:  # JSON and safetensors from elsewhere
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtifactFaultError("the file", f"can't be read: {reason}") from error
    form = header.get("format") if isinstance(header, dict) else None
    if not isinstance(form, str) or form not in KINDS:
        raise ArtifactFaultError(
            "format", f"is {shown(form)}, and must be one of {', '.join(KINDS)}"
        )
    return KINDS[form].read(header, tensors, shape)
