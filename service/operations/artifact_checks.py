"""Whether artifacts hold what the log says: each is read, every version's state rebuilt once."""

from typing import Any

from service.editing.changes import Change, decode
from service.editing.overlays import checksum_of
from service.errors import LogCorruptError
from service.operations.row_checks import Outline, Tick
from service.storage.artifacts import ArtifactStore
from service.storage.contents import OnFault
from service.storage.records import VersionRecord


class ArtifactChecks:
    """Goes over the versions once. States share what they have in common, and are held only as
    long as a later version is made over them.
    """

    def __init__(
        self, outline: Outline, artifacts: ArtifactStore, on_fault: OnFault, tick: Tick
    ) -> None:
        self._outline = outline
        self._artifacts = artifacts
        self._on_fault = on_fault
        self._tick = tick
        self._found: dict[str, bool] = {}  # artifacts that were read, and whether they are sound

    def run(self) -> None:
        self._versions()
        for batch in self._outline.batches.values():
            self._tick(1)
            if batch.artifact not in self._found:
                self._change(batch.artifact, f"batch {batch.id}")
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
        name = f"version {version.version}"
        state = parent
        if version.artifact is not None:
            change = self._change(version.artifact, name)
            if change is None:
                return None, False
            try:
                state = change.over(parent)
            except Exception as error:  # whatever its numbers lead to
                self._on_fault(f"{name}: its artifact does not fit its parent: {_line(error)}")
                return None, False
        return state, self._agrees(state, version, f"the state of {name}")

    def _snapshot(self, version: VersionRecord) -> Change | None:
        """The whole state of a version, if there is one and it is sound."""
        artifact = self._outline.snapshots.get(version.version)
        if artifact is None:
            return None
        name = f"the snapshot of version {version.version}"
        change = self._change(artifact, name)
        if change is None:
            return None
        try:
            state = change.over(None)
        except Exception as error:
            self._on_fault(f"{name} is no whole state: {_line(error)}")
            return None
        return change if self._agrees(state, version, name) else None

    def _agrees(self, state: Any, version: VersionRecord, name: str) -> bool:
        found = checksum_of(state)
        if found != version.checksum:
            self._on_fault(f"{name} has checksum {found}, and the log says {version.checksum}")
        return found == version.checksum

    def _change(self, artifact: str, owner: str) -> Change | None:
        """What an artifact holds, if it is sound."""
        change = None
        try:
            change = decode(self._artifacts.get(artifact))
        except LogCorruptError as error:
            reason = f"artifact {artifact} is not what it was: {error.found}"
            self._on_fault(f"{owner}: {reason}")
        except OSError:
            raise
        except Exception as error:  # JSON and safetensors from elsewhere
            self._on_fault(f"{owner}: artifact {artifact} can't be read: {_line(error)}")
        self._found[artifact] = change is not None
        return change


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
