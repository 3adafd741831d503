"""What an edit reaches, phrasing by phrasing, and what it moves."""

from dataclasses import dataclass

from service.domain.edits import Edit, Format


@dataclass(frozen=True)
class PhrasingReport:
    """One way to ask: the prompt or a paraphrase, in one form."""

    field: str  # of the edit: `prompt`, `paraphrases[1]`
    format: Format
    reached: bool  # greedy generation says target_new, its last word not lengthened
    probability_before: float  # of the target's own tokens
    probability_after: float


@dataclass(frozen=True)
class NeighborReport:
    """A prompt that was given so that its answer would not change, in one form."""

    field: str  # of the edit: `neighborhood[0]`
    format: Format
    before: str  # the greedy answers, some tokens long
    after: str
    kept: bool  # the answers are the same; what is stored of a long one may not show that


@dataclass(frozen=True)
class EditReport:
    """About one edit in the state that its batch leads to, or would have led to."""

    phrasings: tuple[PhrasingReport, ...]
    neighbors: tuple[NeighborReport, ...]

    @property
    def missed(self) -> tuple[PhrasingReport, ...]:
        return tuple(one for one in self.phrasings if not one.reached)

    @property
    def moved(self) -> tuple[NeighborReport, ...]:
        return tuple(one for one in self.neighbors if not one.kept)


@dataclass(frozen=True)
class ReportedEdit:
    edit: Edit
    report: EditReport | None  # None where it was not found out
    superseded_by: int | None = None  # the latest edit at work that answers in its place somewhere
