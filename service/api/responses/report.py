"""What an edit reaches and moves."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.domain.edits import Format
from service.domain.report import EditReport


class PhrasingOut(BaseModel):
    """The prompt or a paraphrase, in one form."""

    model_config = ConfigDict(from_attributes=True)

    field: str = Field(description="`prompt`, or a paraphrase as `paraphrases[1]`")
    format: Format
    reached: bool = Field(description="greedy generation says target_new there")
    probability_before: float = Field(description="of the target's own tokens, before the batch")
    probability_after: float


class NeighborOut(BaseModel):
    """A given neighbour, in one form."""

    model_config = ConfigDict(from_attributes=True)

    field: str = Field(description="`neighborhood[0]`")
    format: Format
    before: str = Field(description="the greedy answer before the batch, in a few tokens")
    after: str
    kept: bool = Field(description="the answer is as it was")


class ReportOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    phrasings: list[PhrasingOut] = Field(description="`verified` says that all are reached")
    neighbors: list[NeighborOut]


Report = Annotated[
    ReportOut | None,
    Field(
        description="what it reaches and moves, or would have; null before it is applied, where it "
        "failed earlier, and of edits from before reports were kept"
    ),
]


def report_out(report: EditReport | None) -> ReportOut | None:
    return None if report is None else ReportOut.model_validate(report)
