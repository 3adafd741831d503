"""What a change of history would do."""

from dataclasses import dataclass

from service.domain.effects import Effect
from service.domain.versions import Version
from service.operations.comparing import Comparison


@dataclass(frozen=True)
class Preview:
    version: int  # the number that the change would get, or of the version that made it before
    checksum: str  # of that version
    effect: Effect
    comparisons: tuple[Comparison, ...]
    changes: bool = True  # it is not made already

    @classmethod
    def of_nothing(cls, made_by: Version) -> "Preview":
        return cls(made_by.version, made_by.checksum, Effect(), (), changes=False)
