"""What a GGUF file says of its model, read and checked before any weight is."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gguf import GGUFReader
from transformers.integrations.gguf.reader import read_gguf_metadata

from service.editing.architectures import ARCHITECTURES
from service.engine.checkpoint import first_line
from service.errors import StartupError

T = TypeVar("T")
MAGIC = b"GGUF"
TOKENS = "tokenizer.ggml.tokens"
FREQUENCIES = "rope_freqs.weight"  # no weight: what rotary frequencies are divided by
# By `general.architecture`: the `model_type` of the same model. Those that transformers can read.
MODEL_TYPES = {
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "gpt2": "gpt2",
    "llama": "llama",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
}
BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class GgufFile:
    path: Path
    architecture: str  # a key of `MODEL_TYPES`
    metadata: dict[str, Any]  # arrays of strings are counts, that of the tokens excepted
    tensors: dict[str, tuple[int, ...]]  # shapes as torch has them, by GGUF's names
    divisors: tuple[float, ...]  # `FREQUENCIES`, if there is such a tensor

    @property
    def numbers(self) -> int:
        """How many its weights are."""
        return sum(map(math.prod, self.tensors.values())) - len(self.divisors)

    @property
    def layers(self) -> int:
        """How many decoder layers its weights belong to."""
        found = map(BLOCK.match, self.tensors)
        return 1 + max((int(match[1]) for match in found if match), default=-1)


def read_header(path: Path) -> GgufFile:
    """Raises `StartupError` for what is no GGUF file or not all of one, for an architecture that is
    not known, and `OSError` for a file that can't be read.
    """
    if not path.is_file():
        raise StartupError(f"{path} is no file")
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
    if start != MAGIC:
        raise StartupError(f"{path} is no GGUF file: it begins with {start!r}, not {MAGIC!r}")
    # The reader of transformers holds every count against the file's length; that of gguf, which
    # alone tells where tensors lie, would follow an absurd one until the memory is full.
    metadata = _read(path, lambda: read_gguf_metadata(str(path), (TOKENS,))[0])
    architecture = metadata["general.architecture"]
    if not isinstance(architecture, str) or MODEL_TYPES.get(architecture) not in ARCHITECTURES:
        known = ", ".join(sorted(MODEL_TYPES))
        raise StartupError(f"{path} is of architecture {str(architecture)[:64]!r}; known: {known}")
    tensors = _read(path, lambda: GGUFReader(path).tensors)
    shapes = {tensor.name: tuple(map(int, reversed(tensor.shape))) for tensor in tensors}
    divisors = [t.data.tolist() for t in tensors if t.name == FREQUENCIES and t.data.ndim == 1]
    return GgufFile(path, architecture, metadata, shapes, tuple(*divisors))


def _read(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError:
        raise
    except Exception as error:  # both readers raise whatever a step beyond the end comes to
        raise StartupError(f"{path} is broken or cut off: {first_line(error)}") from error
