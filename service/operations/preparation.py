"""What the server's own editor needs before it can edit, made once, while the server serves."""

from service.operations.editors import Editors
from service.operations.statistics import Statistics


class Preparation:
    def __init__(self, editors: Editors, statistics: Statistics, editor: str) -> None:
        self._statistics = statistics
        self._editor = editor
        self._layers = editors.layers(editor)
        self._done = statistics.ready(self._layers)
        self._trouble: str | None = None

    def run(self) -> None:
        """Raises `StoppedError` when it is told to stop: what was made is kept."""
        if not self._done:
            try:
                self._statistics.of(self._layers)
            except Exception as error:
                self._trouble = str(error)
                raise
            self._trouble = None
            self._done = True

    def stop(self) -> None:
        self._statistics.stop()

    @property
    def pending(self) -> str | None:
        """What is still to be done before edits are applied."""
        if self._done:
            return None
        doing = self._trouble or self._statistics.doing or "statistics are about to be made"
        return f"'{self._editor}' is being prepared: {doing}"
