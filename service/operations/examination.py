"""What the model says of a batch's edits under one overlay: read before it, and again after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.editing.overlays import Overlay
from service.editing.requests import EditRequest
from service.engine.engine import Engine
from service.engine.scoring import Continuation, Score


@dataclass(frozen=True)
class Finding:
    """About one edit."""

    prompt: Score  # of target_new after the edit's own prompt
    paraphrases: tuple[Score, ...]  # the same after each paraphrase
    neighborhood: tuple[int, ...]  # the next token of each neighbourhood prompt

    @property
    def true(self) -> bool:
        """The model says it, however it is asked."""
        return self.prompt.greedy and all(score.greedy for score in self.paraphrases)


Examination = Mapping[int, Finding]  # by edit id


def examine(
    engine: Engine, overlay: Overlay | None, requests: Sequence[EditRequest]
) -> Examination:
    continuations = [
        Continuation(prompt, target)
        for request in requests
        for prompt, target in zip(request.prompts, request.targets, strict=True)
    ]
    probes = [probe for request in requests for probe in request.neighborhood]
    with engine.editing():
        scores = iter(engine.score(overlay, continuations))
        tokens = iter(engine.next_tokens(overlay, probes))
    return {
        request.edit_id: Finding(
            next(scores),
            tuple(next(scores) for _ in request.prompts[1:]),
            tuple(next(tokens) for _ in request.neighborhood),
        )
        for request in requests
    }


def efficacy(after: Examination) -> float:
    """The share of edits that the model says on their own prompts."""
    return sum(finding.prompt.greedy for finding in after.values()) / len(after)


def paraphrase(after: Examination) -> float | None:
    """The share of given paraphrases on which it says them; None if none was given."""
    reached = [score.greedy for finding in after.values() for score in finding.paraphrases]
    return sum(reached) / len(reached) if reached else None


def neighborhood(before: Examination, after: Examination) -> float | None:
    """The share of neighbourhood prompts whose next token stayed; None if none was given."""
    stayed = [
        was == now
        for edit_id, finding in after.items()
        for was, now in zip(before[edit_id].neighborhood, finding.neighborhood, strict=True)
    ]
    return sum(stayed) / len(stayed) if stayed else None
