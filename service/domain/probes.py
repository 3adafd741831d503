"""An operator's prompts that every version is asked before it is published."""

from dataclasses import dataclass

from service.domain.edits import Format


@dataclass(frozen=True)
class Probe:
    """A prompt that should not change, or must say something."""

    prompt: str
    format: Format = Format.PLAIN
    expect: str | None = None  # what the answer must begin with; None: no version is held to it

    def holds(self, answer: str) -> bool:
        """Whether an answer begins, after white space, with what is expected, if anything is."""
        return self.expect is None or answer.lstrip().startswith(self.expect.lstrip())


@dataclass(frozen=True)
class ProbeChange:
    """A probe that a version answers otherwise than the version before it."""

    probe: Probe
    before: str  # the greedy answers, some tokens long
    after: str

    @property
    def broken(self) -> bool:
        """The version before said what is expected, and this one does not."""
        return self.probe.holds(self.before) and not self.probe.holds(self.after)
