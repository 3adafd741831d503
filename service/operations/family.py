"""A log holds one family of edits, fixed by its first batch."""

from service.domain.edits import Correction
from service.errors import FieldError, InvalidRequestError
from service.operations.editors import Editors
from service.storage.log import Log


class Family:
    def __init__(self, editors: Editors, log: Log) -> None:
        self._editors = editors
        self._log = log
        self._structure: str | None = None  # of the log; never changes once there is one

    def check(self, correction: Correction) -> None:
        """Raises `InvalidRequestError` for an edit that this log can't hold."""
        wanted = self._editors.structure(correction)
        if self._structure is None:
            first = self._log.batches(after=0, limit=1)
            if not first:
                return
            self._structure = self._editors.structure_of_batch(first[0])
        if wanted != self._structure:
            reason = f"this log holds {self._structure}, and the edit needs {wanted}"
            raise InvalidRequestError([FieldError("editor", reason)])
