"""What is told of an edit, by what the model says before its batch and after it."""

from service.domain.report import EditReport, NeighborReport, PhrasingReport
from service.operations.examination import Finding

# Of an answer: its tokens may be long ones, and every edit's are kept.
MOST_CHARACTERS = 256


def report(before: Finding, after: Finding) -> EditReport:
    phrasings = tuple(
        PhrasingReport(
            field=now.phrasing.field,
            format=now.phrasing.form,
            reached=now.reached,
            probability_before=was.probability,
            probability_after=now.probability,
        )
        for was, now in zip(before.replies, after.replies, strict=True)
    )
    neighbors = tuple(
        NeighborReport(
            field=f"neighborhood[{neighbor.number}]",
            format=neighbor.form,
            before=_stored(was),
            after=_stored(now),
            kept=was == now,
        )
        for neighbor, was, now in zip(after.neighbors, before.answers, after.answers, strict=True)
    )
    return EditReport(phrasings, neighbors)


def _stored(answer: str) -> str:
    # No database takes a NUL character.
    return answer[:MOST_CHARACTERS].replace("\0", "\N{REPLACEMENT CHARACTER}")
