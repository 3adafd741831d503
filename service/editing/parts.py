"""An artifact's header and tensors, looked at before anything is made of them."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from service.errors import ArtifactFaultError

ID_LIMIT = 2**62  # ids of edits lie below it
NAMED = 64  # characters that are shown of a text that somebody else wrote


def shown(value: object) -> str:
    """Shows a value in one line, however long it is and whatever it holds."""
    text = repr(value[:NAMED] if isinstance(value, str) else value)
    return text if len(text) <= 2 * NAMED else text[: 2 * NAMED] + "..."


def fields(value: Any, name: str, names: Collection[str]) -> dict[str, Any]:
    """A part of a header that is an object with just these names."""
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ArtifactFaultError(name, f"is no object of {', '.join(sorted(names))}")
    return value


def whole_number(value: Any, name: str, *, below: int) -> int:
    if type(value) is not int or not 0 <= value < below:  # True is an int
        kind = shown(value) if type(value) is int and abs(value) < ID_LIMIT else _kind(value)
        raise ArtifactFaultError(
            name, f"is {kind}, and must be a whole number from 0 to {below - 1}"
        )
    return value


def number(value: Any, name: str) -> float:
    """Infinity is one, NaN is not."""
    if type(value) not in (int, float) or (type(value) is int and abs(value) >= ID_LIMIT):
        raise ArtifactFaultError(name, f"is {_kind(value)}, and must be a number")
    if math.isnan(value):
        raise ArtifactFaultError(name, "is not a number")
    return float(value)


def _kind(value: object) -> str:
    if type(value) is int:
        return "a number beyond all bounds"
    return f"{shown(value)} ({type(value).__name__})"


class Parts:
    """Tensors by name. All methods raise `ArtifactFaultError` with the name of the one at fault."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def check_names(self, names: Collection[str], optional: Collection[str] = ()) -> None:
        """There are these, those that are `optional` perhaps, and no others."""
        if missing := sorted(set(names) - self._tensors.keys()):
            raise ArtifactFaultError(missing[0], "is missing")
        if unknown := sorted(self._tensors.keys() - {*names, *optional}):
            raise ArtifactFaultError(shown(unknown[0]), "is a tensor that no such artifact has")

    def columns(self, name: str) -> int:
        """Returns how many columns a matrix of any size has."""
        tensor = self._tensors[name]
        if tensor.dim() != 2:
            raise ArtifactFaultError(name, f"has {tensor.dim()} dimensions, and must have 2")
        return tensor.shape[1]

    def floats(self, name: str, *shape: int, like: str | None = None) -> Tensor:
        """Finite float32 numbers; with `like`, of the precision of that tensor, which may be
        float64.
        """
        dtype = torch.float32
        if like is not None and self._tensors[like].dtype is torch.float64:
            dtype = torch.float64
        tensor = self._of(name, dtype, shape)
        if not bool(tensor.isfinite().all()):
            raise ArtifactFaultError(name, "holds a number that is not finite")
        return tensor

    def integers(
        self, name: str, count: int | None = None, *, least: int = 0, below: int = ID_LIMIT
    ) -> list[int]:
        """As many as `count`, or any number of them."""
        tensor = self._tensors[name]
        known = tensor.shape[0] if count is None and tensor.dim() == 1 else count or 0
        numbers: list[int] = self._of(name, torch.int64, (known,)).tolist()
        if numbers and not (min(numbers) >= least and max(numbers) < below):
            wrong = next(number for number in numbers if not least <= number < below)
            limit = f"from {least} on" if below == ID_LIMIT else f"from {least} to {below - 1}"
            raise ArtifactFaultError(name, f"holds {wrong}, and its numbers must be {limit}")
        return numbers

    def edits(self, name: str, count: int | None = None) -> list[int]:
        """Ids."""
        return self.integers(name, count, least=1)

    def references(
        self, name: str, what: str, edits: Sequence[int], counts: Sequence[int], had: Sequence[int]
    ) -> None:
        """Checks numbers: each edit has as many as `counts` says, each below what it `had`."""
        numbers = iter(self.integers(name, sum(counts)))
        for edit, count, most in zip(edits, counts, had, strict=True):
            for number in islice(numbers, count):
                if number >= most:
                    raise ArtifactFaultError(
                        name, f"names {what} {number} of edit {edit}, which has {most}"
                    )

    def labels(self, name: str, count: int, *, vocabulary: int, padding: int) -> list[int]:
        """A row of token ids for each, one at least, padded behind their end; how many each has."""
        tensor = self._tensors[name]
        width = tensor.shape[1] if tensor.dim() == 2 else 0
        tensor = self._of(name, torch.int64, (count, width))
        if not count:
            return []
        if width:
            least, most = map(int, tensor.aminmax())
            if least >= 0 and most < vocabulary:  # as of targets that are of one length
                return [width] * count
        padded = tensor == padding
        if not width or bool(padded[:, 0].any()):
            raise ArtifactFaultError(name, "has a label without tokens")
        if bool((padded[:, :-1] & ~padded[:, 1:]).any()):
            raise ArtifactFaultError(name, "has padding between the tokens of a label")
        wrong = tensor[~padded & ((tensor < 0) | (tensor >= vocabulary))]
        if len(wrong):
            raise ArtifactFaultError(
                name, f"holds token {int(wrong[0])}, and the model has 0 to {vocabulary - 1}"
            )
        lengths: list[int] = (~padded).sum(dim=1).tolist()
        return lengths

    def _of(self, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        tensor = self._tensors[name]
        if tensor.dtype is not dtype:
            raise ArtifactFaultError(name, f"is of {tensor.dtype}, and must be of {dtype}")
        found = tuple(tensor.shape)
        # Of no rows the width says nothing, and there may be none.
        if found != shape and not (found[:1] == shape[:1] == (0,)):
            raise ArtifactFaultError(name, f"has shape {list(found)}, and must have {list(shape)}")
        return tensor
