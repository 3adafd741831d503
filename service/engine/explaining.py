"""What an overlay did at the tokens of a text that asks to be explained."""

from collections import defaultdict
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from service.editing.attribution import strongest
from service.editing.hook_layer import HookLayers
from service.editing.overlays import Overlay


@dataclass(frozen=True)
class Firing:
    """What happened at one token in one layer."""

    index: int  # which token of prompt and continuation
    token: int  # its id
    layer: int
    # Of a codebook: whose entry is nearest. Of hook layers, which add up all edits: whose part in
    # the change is the largest; none where the version's artifact does not say whose parts it has.
    edits: tuple[int, ...]
    fired: bool = True
    distance: float | None = None  # of a codebook: to the nearest key
    radius: float | None = None  # of that key's entry
    z_score: float | None = None  # of hook layers behind a gate that goes by one
    alpha: float | None = None  # least z-score at which it fires
    subject: str | None = None  # of an entity book: whose entry is nearest


@dataclass(frozen=True)
class Spot:
    """A token of a text that asks to be explained."""

    record: "Record"
    index: int
    token: int


class Record:
    """Firings of one text, by token and layer.

    Of a codebook: every token that an entry answered and, fired or not, the prompt's last. Of hook
    layers behind a gate: every token at which it opened. Behind none: in each layer the token at
    which the change was largest. A token that is run anew is noted anew.
    """

    def __init__(self, overlay: Overlay | None, last: int) -> None:
        """`last`: index of the prompt's last token."""
        self._overlay = overlay
        self._last = last
        self._firings: dict[tuple[int, int], Firing] = {}  # by index and layer
        self._keys: dict[tuple[int, int], Tensor] = {}  # [d_in] each, of hook layers
        self._largest: dict[int, float] = {}  # norm of the change noted, by layer

    @property
    def firings(self) -> list[Firing]:
        return [self._firings[at] for at in sorted(self._firings)]

    def answered(
        self,
        spot: Spot,
        layer: int,
        edit: int,
        distance: float,
        radius: float,
        fired: bool,
        subject: str | None = None,
    ) -> None:
        """By the codebook, if `fired`."""
        if fired or spot.index == self._last:
            firing = Firing(
                spot.index, spot.token, layer, (edit,), fired, distance, radius, subject=subject
            )
            self._firings[spot.index, layer] = firing

    def went_on(self, spot: Spot, layer: int, edit: int) -> None:
        """An answer of an entity book goes on that was begun at a token before."""
        self._firings[spot.index, layer] = Firing(spot.index, spot.token, layer, (edit,))

    def opened(self, spot: Spot, layer: int, z_score: float, alpha: float, key: Tensor) -> None:
        """The gate of a hook layer; `key` [d_in], on the CPU, is what it stands before."""
        firing = Firing(spot.index, spot.token, layer, (), z_score=z_score, alpha=alpha)
        self._firings[spot.index, layer] = firing
        self._keys[spot.index, layer] = key

    def changed(self, spot: Spot, layer: int, norm: float, key: Tensor) -> None:
        """By a hook layer without a gate, by as much."""
        if norm > self._largest.get(layer, 0.0):
            self._largest[layer] = norm
            for at in [at for at in self._firings if at[1] == layer]:
                del self._firings[at], self._keys[at]
            self._firings[spot.index, layer] = Firing(spot.index, spot.token, layer, ())
            self._keys[spot.index, layer] = key.clone()  # not the pass's other ones

    def attribute(self) -> None:
        """Names the edits behind hook layers' firings. Dear: once, when the text has ended, and
        where no pass and no event loop waits.
        """
        if not isinstance(self._overlay, HookLayers):
            return
        by_layer = defaultdict(list)
        for at in self._keys:
            by_layer[at[1]].append(at)
        for layer, places in by_layer.items():
            keys = torch.stack([self._keys.pop(at) for at in places])
            edits = strongest(self._overlay.layers[layer], keys)
            for at, edit in zip(places, edits, strict=True):
                if edit is not None:
                    self._firings[at] = replace(self._firings[at], edits=(edit,))
