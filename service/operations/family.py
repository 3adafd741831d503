"""A log holds one family of edits at a time: hook layers move the activations that a codebook's
keys were cached from.
"""

from service.domain.edits import Correction
from service.domain.versions import Active
from service.errors import ConflictError, FieldError, InvalidRequestError
from service.operations.editors import Editors
from service.operations.overlays import Overlays
from service.storage.log import Log


class Family:
    """That of the batches at work. Where none is, the next batch chooses anew. Safe to use from any
    thread.
    """

    def __init__(self, editors: Editors, log: Log, overlays: Overlays) -> None:
        self._editors = editors
        self._log = log
        self._overlays = overlays
        self._known: tuple[int, str | None] = (-1, None)  # as of the version that is served

    def check(self, correction: Correction) -> None:
        """Raises `InvalidRequestError` for an edit that this log can't hold now."""
        wanted = self._editors.structure(correction)
        version, held = self._known
        if version != self._overlays.current.version or held not in (None, wanted):
            # Also before an edit is refused: another server may have rolled back what it is held
            # against. One that is taken by what is not true any more is refused when it is applied.
            held = self._read()
        if held not in (None, wanted):
            reason = (
                f"this log holds {held}, and the edit needs {wanted}: it can be taken once every "
                "batch at work is rolled back"
            )
            raise InvalidRequestError([FieldError("editor", reason)])

    def check_change(self, now: Active, wanted: Active) -> None:
        """Raises `ConflictError` for a change of history that puts batches of one family where
        another's are at work. The batches of each list are of one family.
        """
        at_work = {batch.id for batch in now}
        added = next((batch.id for batch in wanted if batch.id not in at_work), None)
        if added is None or not now:
            return
        held, comes = self._structure(now[0].id), self._structure(added)
        if held != comes:
            raise ConflictError(
                f"batch {added} needs {comes}, and this log holds {held}: hook layers move the "
                "activations that a codebook's keys were cached from, so that one family follows "
                "another only where nothing is at work. Roll back to version 0 first"
            )

    def _read(self) -> str | None:
        # In this order: what is read is as new as the version, or newer.
        version = self._overlays.current.version
        first = self._log.first_at_work()
        held = None if first is None else self._editors.structure_of_batch(first)
        self._known = (version, held)
        return held

    def _structure(self, batch_id: int) -> str:
        return self._editors.structure_of_batch(self._log.batch(batch_id))
