"""The kinds of overlay, and the base model's, which is none."""

import hashlib

from service.editing.codebook import Codebook
from service.editing.entity.book import EntityBook
from service.editing.hook_layer import HookLayers

Overlay = Codebook | EntityBook | HookLayers
BASE_CHECKSUM = hashlib.sha256(b"None").hexdigest()


def checksum_of(overlay: Overlay | None) -> str:
    """sha256 of everything that decides what the model says beside its weights."""
    return BASE_CHECKSUM if overlay is None else overlay.checksum
