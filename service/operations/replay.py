"""Makes the state of a list of batches out of the log's versions and stored targets."""

from dataclasses import dataclass

from service.domain.versions import Active
from service.editing.changes import encode
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.operations.editors import Editors
from service.operations.overlays import Overlays
from service.operations.reading import Owner, Reading
from service.storage.artifacts import ArtifactStore
from service.storage.log import Log


@dataclass(frozen=True)
class Replayed:
    state: Overlay | None
    parent: int  # the version that it was made from
    artifact: bytes | None  # what was changed in the parent's state; None if nothing had to be


class Replay:
    def __init__(
        self,
        engine: Engine,
        editors: Editors,
        log: Log,
        artifacts: ArtifactStore,
        overlays: Overlays,
    ) -> None:
        self._engine = engine
        self._editors = editors
        self._log = log
        self._reading = Reading(artifacts, engine.loaded.shape)
        self._overlays = overlays

    def __call__(self, parent: int, remaining: Active) -> Replayed:
        """The state of version `parent` with the batches `remaining` inserted after it."""
        before = state = self._overlays.at(parent).state
        content = None
        for replayed in remaining:
            batch = self._log.batch(replayed.id)
            editor = self._editors.recorded(batch, repaired=replayed.repaired)
            owner = Owner.of_batch(batch.id, batch.edit_ids)
            stored = self._reading.change(batch.artifact, owner).targets
            targets = [target for target in stored if target.edit_id not in replayed.without]
            with self._engine.editing():
                state = editor.insert(state, targets)
        if remaining:
            content = encode(editor.change(before, state, ()))
        return Replayed(state, parent, content)
