"""Artifacts as they are read out of a log: each is what its name says, and fits model and log."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from service.domain.versions import VersionKind
from service.editing.changes import Change, decode
from service.editing.model_shape import ModelShape
from service.errors import ArtifactFaultError, UnsoundArtifactError


class Source(Protocol):
    """Where artifacts come from."""

    def get(self, name: str) -> bytes:
        """Raises `LogCorruptError` for one that is not there, or not what its name says."""
        ...

    def sizes(self) -> dict[str, int]: ...


class AnyVersion(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def kind(self) -> VersionKind: ...
    @property
    def batch_ids(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Owner:
    """What names an artifact."""

    name: str
    # That it may hold targets of; None where nobody reads them.
    edits: Sequence[int] | None = ()

    @classmethod
    def of_batch(cls, batch_id: int, edits: Sequence[int]) -> "Owner":
        return cls(f"batch {batch_id}", edits)

    @classmethod
    def of_version(cls, version: AnyVersion, edits_of: Mapping[int, Sequence[int]]) -> "Owner":
        """`edits_of`: by the batch's id; a batch that is not there has none."""
        name = f"version {version.version}"
        if version.kind is not VersionKind.APPLY or len(version.batch_ids) != 1:
            return cls(name)
        (batch_id,) = version.batch_ids
        return cls(f"{name} (batch {batch_id})", edits_of.get(batch_id, ()))

    @classmethod
    def of_snapshot(cls, version: int) -> "Owner":
        return cls(f"the snapshot of version {version}", None)


class Reading:
    """Everything raises `UnsoundArtifactError` for an artifact that does not fit."""

    def __init__(self, source: Source, shape: ModelShape) -> None:
        self._source = source
        self._shape = shape

    def change(self, artifact: str, owner: Owner) -> Change:
        """Raises `LogCorruptError` too."""
        content = self._source.get(artifact)
        with self.of(artifact, owner):
            change = decode(content, self._shape)
            if owner.edits is None:
                return change
            foreign = {target.edit_id for target in change.targets} - set(owner.edits)
            if foreign:
                raise ArtifactFaultError(
                    "targets.edits", f"names edit {min(foreign)}, which is not of its batch"
                )
        return change

    @contextmanager
    def of(self, artifact: str, owner: Owner) -> Iterator[None]:
        """Names the artifact that does not fit."""
        try:
            yield
        except ArtifactFaultError as fault:
            raise UnsoundArtifactError(owner.name, artifact, fault) from fault
