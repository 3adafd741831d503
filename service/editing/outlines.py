"""What of a state decides whether a change fits it: told without the state's numbers."""

from dataclasses import dataclass

from service.editing.codebook import Codebook, Site
from service.editing.entity.book import EntityBook
from service.editing.gates import Gate
from service.editing.overlays import Overlay


@dataclass(frozen=True)
class CodebookOutline:
    site: Site
    entries: int


@dataclass(frozen=True)
class EntityOutline:
    space: str  # the digest of its relation space
    entries: int
    answers: int


@dataclass(frozen=True)
class HooksOutline:
    gate: Gate
    layers: frozenset[int]  # that have an update


Outline = CodebookOutline | EntityOutline | HooksOutline | None  # None: the base model's


def outline_of(state: Overlay | None) -> Outline:
    if state is None:
        return None
    if isinstance(state, Codebook):
        return None if state.site is None else CodebookOutline(state.site, len(state))
    if isinstance(state, EntityBook):
        if state.space is None:
            return None
        return EntityOutline(state.space.digest, len(state), len(state.answers))
    edited = frozenset(number for number, layer in state.layers.items() if layer.updates)
    return HooksOutline(state.gate, edited)
