"""Probes that a version changed."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from service.domain.edits import Format
from service.domain.probes import ProbeChange


class ProbeChangeOut(BaseModel):
    prompt: str
    format: Format
    expect: str | None = Field(description="what the answer must begin with")
    before: str = Field(description="the version before: a greedy answer, in a few tokens")
    after: str
    broken: bool = Field(description="the version before said what is expected, this one does not")

    @classmethod
    def of(cls, change: ProbeChange) -> "ProbeChangeOut":
        probe = change.probe
        return cls(
            prompt=probe.prompt,
            format=probe.format,
            expect=probe.expect,
            before=change.before,
            after=change.after,
            broken=change.broken,
        )


ChangedProbes = Annotated[
    list[ProbeChangeOut] | None,
    Field(
        description="probes that its version answers otherwise than the version before it; null "
        "where none were asked"
    ),
]


def changed_probes(changes: Sequence[ProbeChange] | None) -> list[ProbeChangeOut] | None:
    return None if changes is None else [ProbeChangeOut.of(change) for change in changes]
