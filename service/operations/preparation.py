"""What the server's own editor needs before it can edit, made once, while the server serves."""

from service.operations.editors import Editors


class Preparation:
    def __init__(self, editors: Editors, editor: str) -> None:
        self._editors = editors
        self._editor = editor
        self._done = editors.ready(editor)
        self._trouble: str | None = None

    def run(self) -> None:
        """Raises `StoppedError` when it is told to stop: what was made is kept."""
        if not self._done:
            try:
                self._editors.prepare(self._editor)
            except Exception as error:
                self._trouble = str(error)
                raise
            self._trouble = None
            self._done = True

    def stop(self) -> None:
        self._editors.stop()

    @property
    def pending(self) -> str | None:
        """What is still to be done before edits are applied."""
        if self._done:
            return None
        doing = self._trouble or self._editors.doing or "statistics are about to be made"
        return f"'{self._editor}' is being prepared: {doing}"
