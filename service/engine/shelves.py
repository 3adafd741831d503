"""The shelves of a model: one for each site that a codebook acts at, while any does."""

import threading
from weakref import WeakValueDictionary

import torch

from service.editing.codebook import Codebook, Site
from service.editing.shelf import Shelf


class Shelves:
    """Safe to use from any thread. Codebooks hold their shelf: it goes with the last of them."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device
        self._lock = threading.Lock()
        self._shelves: WeakValueDictionary[Site, Shelf] = WeakValueDictionary()

    def place(self, codebook: Codebook) -> Codebook:
        """The codebook, to be looked up on the model's device."""
        if codebook.site is None:
            return codebook
        return codebook.on(self._at(codebook.site, codebook))

    def _at(self, site: Site, codebook: Codebook) -> Shelf:
        with self._lock:
            shelf = self._shelves.get(site)
            if shelf is None:
                shelf = Shelf(
                    codebook.key_table.width, codebook.value_table.width, self._dtype, self._device
                )
                self._shelves[site] = shelf
            return shelf
