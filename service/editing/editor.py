"""What every editor is to the rest of the server."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from transformers import PreTrainedTokenizerBase

from service.domain.edits import Correction
from service.editing.changes import Change
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest, Phrasing
from service.errors import EditingError


class EditTarget(Protocol):
    """What the dear part found for one edit."""

    @property
    def edit_id(self) -> int: ...


S = TypeVar("S", bound=Overlay)
T = TypeVar("T", bound=EditTarget)


class Editor(Protocol[S, T]):
    """An algorithm that keeps edits in overlays of kind S; None is the overlay of no edits."""

    @property
    def name(self) -> str: ...

    @property
    def exact(self) -> bool:
        """An edit either holds or can be left out as if it had never been."""
        ...

    def recorded(self) -> dict[str, Any]:
        """The hyperparameters as they are written to the log: enough to be built again."""
        ...

    def request(
        self,
        tokenizer: PreTrainedTokenizerBase,
        edit_id: int,
        correction: Correction,
        phrasings: Sequence[Phrasing],
    ) -> EditRequest:
        """Returns the edit in tokens; `phrasings` are the correction's. Raises `EditingError` where
        it lacks what this editor goes by, and where the model's chat template refuses it.
        """
        ...

    def targets(
        self, state: S | None, requests: Sequence[EditRequest]
    ) -> tuple[list[T], list[EditingError]]:
        """The dear part: gradient steps. The targets, in order, and the edits that have none: those
        at fault are returned, so that nothing is computed twice for the others.
        """
        ...

    def insert(self, state: S | None, targets: Sequence[T]) -> S | None:
        """The cheap part: closed form. Raises `EditingError` for an edit at fault, and
        `ArithmeticError` where the batch as a whole is; no `targets` leave `state` as it is.
        """
        ...

    def change(self, parent: S | None, state: S | None, targets: Sequence[T]) -> Change:
        """What made `state` out of `parent`."""
        ...

    def metrics(self, parent: S | None, state: S | None, targets: Sequence[T]) -> dict[str, Any]:
        """How a batch that made `state` out of `parent` went, as fields of `BatchMetrics`."""
        ...


AnyEditor = Editor[Any, Any]
