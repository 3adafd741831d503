"""Whether artifacts hold what the log says: each is read, every version's state rebuilt once."""

from typing import Any

from service.editing.changes import Change
from service.editing.overlays import checksum_of
from service.errors import LogCorruptError, UnsoundArtifactError
from service.operations.reading import Owner, Reading
from service.operations.row_checks import Outline, Tick
from service.storage.contents import OnFault
from service.storage.records import VersionRecord


class ArtifactChecks:
    """Goes over the versions once. States share what they have in common, and are held only as
    long as a later version is made over them.
    """

    def __init__(self, outline: Outline, reading: Reading, on_fault: OnFault, tick: Tick) -> None:
        self._outline = outline
        self._edits_of = {number: batch.edit_ids for number, batch in outline.batches.items()}
        self._reading = reading
        self._on_fault = on_fault
        self._tick = tick
        self._found: dict[str, bool] = {}  # artifacts that were read, and whether they are sound

    def run(self) -> None:
        self._versions()
        for batch in self._outline.batches.values():
            self._tick(1)
            if batch.artifact not in self._found:
                self._change(batch.artifact, Owner.of_batch(batch.id, batch.edit_ids))
            elif not self._found[batch.artifact]:
                self._on_fault(f"batch {batch.id}: its artifact {batch.artifact} is damaged")

    def _versions(self) -> None:
        last_use = {v.parent: v.version for v in self._outline.versions if v.parent is not None}
        states: dict[int, Any] = {}  # of versions that are sound
        beyond: list[int] = []
        for version in self._outline.versions:
            self._tick(1)
            whole = self._snapshot(version)
            parent = version.parent
            if parent is not None and parent not in states:
                beyond.append(version.version)
                sound = False
            else:
                state, sound = self._state(version, None if parent is None else states[parent])
            if not sound and whole is not None:
                state, sound = whole.over(None), True
            if sound and version.version in last_use:
                states[version.version] = state
            if parent is not None and last_use[parent] == version.version:
                states.pop(parent, None)
        if beyond:
            numbers = ", ".join(map(str, beyond))
            self._on_fault(
                f"not rebuilt, for what they are made over is damaged: version {numbers}"
            )

    def _state(self, version: VersionRecord, parent: Any) -> tuple[Any, bool]:
        """A version's state over its parent's, and whether it is what the log says."""
        state = parent
        if version.artifact is not None:
            owner = Owner.of_version(version, self._edits_of)
            change = self._change(version.artifact, owner)
            if change is None:
                return None, False
            try:
                with self._reading.of(version.artifact, owner):
                    state = change.over(parent)
            except UnsoundArtifactError as error:
                self._on_fault(error.found)
                return None, False
        return state, self._agrees(state, version, f"the state of version {version.version}")

    def _snapshot(self, version: VersionRecord) -> Change | None:
        """The whole state of a version, if there is one and it is sound."""
        artifact = self._outline.snapshots.get(version.version)
        if artifact is None:
            return None
        owner = Owner.of_snapshot(version.version)
        change = self._change(artifact, owner)
        if change is None:
            return None
        try:
            with self._reading.of(artifact, owner):
                state = change.over(None)
        except UnsoundArtifactError as error:
            self._on_fault(error.found)
            return None
        return change if self._agrees(state, version, owner.name) else None

    def _agrees(self, state: Any, version: VersionRecord, name: str) -> bool:
        found = checksum_of(state)
        if found != version.checksum:
            self._on_fault(f"{name} has checksum {found}, and the log says {version.checksum}")
        return found == version.checksum

    def _change(self, artifact: str, owner: Owner) -> Change | None:
        """What an artifact holds, if it is sound."""
        change = None
        try:
            change = self._reading.change(artifact, owner)
        except LogCorruptError as error:
            self._on_fault(f"{owner.name}: artifact {artifact} is not what it was: {error.found}")
        except UnsoundArtifactError as error:
            self._on_fault(error.found)
        self._found[artifact] = change is not None
        return change
