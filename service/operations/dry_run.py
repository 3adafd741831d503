"""Tries edits as a batch would apply them, and keeps nothing of it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service.domain.edits import Correction, Edit
from service.domain.probes import ProbeChange
from service.domain.report import EditReport
from service.domain.states import EditState
from service.editing.parts import ID_LIMIT
from service.engine.engine import Engine
from service.errors import ConflictError, FieldError, InvalidRequestError
from service.operations.contention import Settled, settled
from service.operations.editors import Editors
from service.operations.family import Family
from service.operations.making import Made, Making
from service.operations.outcomes import outcome_of
from service.operations.overlays import Overlays, Pinned

NOBODY = ""  # hands in what is only tried


@dataclass(frozen=True)
class TriedEdit:
    """What would become of one edit."""

    status: EditState  # applied, failed or superseded
    warnings: tuple[str, ...]
    error: str | None = None
    note: str | None = None
    verified: bool | None = None
    probability_before: float | None = None
    probability_after: float | None = None
    report: EditReport | None = None


@dataclass(frozen=True)
class Tried:
    version: int  # over which they were tried
    edits: tuple[TriedEdit, ...]  # in the order in which they came
    changed_probes: Sequence[ProbeChange] | None  # None where none were asked


class DryRun:
    """Takes no lock that a batch waits for: batches are committed meanwhile."""

    def __init__(
        self,
        engine: Engine,
        editors: Editors,
        family: Family,
        making: Making,
        overlays: Overlays,
        most: int,
    ) -> None:
        """`most`: edits that a batch takes."""
        self._engine = engine
        self._editors = editors
        self._family = family
        self._making = making
        self._overlays = overlays
        self._most = most

    def check(self, corrections: Sequence[Correction]) -> None:
        """Raises `InvalidRequestError` for edits that no single batch would hold."""
        if len(corrections) > self._most:
            reason = f"a dry run is of one batch, which takes {self._most} edits at most"
            raise InvalidRequestError([FieldError("edits", reason)])
        first = corrections[0]
        faults = [
            FieldError(f"edits[{i}].{name}", "a dry run is of one batch: must be that of edits[0]")
            for i, correction in enumerate(corrections)
            for name in ("editor", "hyperparameters")
            if getattr(correction, name) != getattr(first, name)
        ]
        if faults:
            raise InvalidRequestError(faults)

    def __call__(self, corrections: Sequence[Correction], given_up: threading.Event) -> Tried:
        """Tries edits that `check` and the intake have passed. Raises `ConflictError` where what
        their editor needs is still to be made, or the batch as a whole is at fault, and
        `StoppedError` once it is `given_up`.
        """
        first = corrections[0]
        if not self._editors.ready(first.editor, first.hyperparameters):
            raise ConflictError(
                f"what '{first.editor}' needs to know of the model is not there yet, and a dry run "
                f"does not wait for it: the first batch makes it, and where the edits have the "
                f"server's own hyperparameters `errata stats --editor {first.editor}` does"
            )
        editor = self._editors.editor(first.editor, first.hyperparameters)
        edits = [_provisional(number, one) for number, one in enumerate(corrections)]
        contended = settled(edits, named=_place)
        current = self._pinned(first)
        try:
            with self._engine.until(given_up):
                made = self._making(editor, current, contended.edits, contended.endings)
        except ArithmeticError as error:
            raise ConflictError(f"these edits can't be applied in one batch: {error}") from error
        return Tried(
            version=current.version,
            edits=tuple(_tried(edit, made, contended) for edit in edits),
            changed_probes=made.changed_probes,
        )

    def _pinned(self, correction: Correction) -> Pinned:
        """The log's last version, which is of the edit's family."""
        while True:
            current = self._overlays.catch_up()
            self._family.check(correction)
            if self._overlays.catch_up() is current:
                return current


def _provisional(number: int, correction: Correction) -> Edit:
    moment = datetime.now(UTC)
    # No edit of a log has such an id, and no overlay.
    return Edit(ID_LIMIT + number, correction, EditState.APPLYING, moment, moment, NOBODY, 1)


def _place(edit: Edit) -> str:
    return f"edits[{edit.id - ID_LIMIT}]"


def _tried(edit: Edit, made: Made, contended: Settled) -> TriedEdit:
    warnings = edit.correction.warnings
    ending = contended.endings.get(edit.id)
    if ending is not None:
        return TriedEdit(ending.state, warnings, error=ending.reason, report=ending.report)
    found = outcome_of(made, edit.id, contended.notes.get(edit.id))
    return TriedEdit(
        EditState.APPLIED,
        warnings,
        note=found.note,
        verified=found.verified,
        probability_before=found.probability_before,
        probability_after=found.probability_after,
        report=found.report,
    )
