"""What the model says of a batch's edits under one overlay: read before it, and again after.

Answers are generated as serving generates them: what a pass of another kind finds may differ in the
last digit, and an edit would be called verified that no client is answered by.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.editing.lengthening import lengthens
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest, Phrasing
from service.engine.engine import Engine
from service.engine.running import FinishReason, Generation
from service.engine.scoring import Continuation, Score

# What is generated beyond a target, to see whether its last word goes on.
BEYOND_TOKENS = 3
# The whole answer to a neighbourhood prompt, as far as it is compared.
NEIGHBOR_TOKENS = 16


@dataclass(frozen=True)
class Reply:
    """What the model says on one given phrasing."""

    score: Score  # of target_new
    reached: bool  # greedy generation says target_new, and does not lengthen its last word


@dataclass(frozen=True)
class Finding:
    """About one edit."""

    prompt: Reply
    paraphrases: tuple[Reply, ...]
    neighborhood: tuple[str, ...]  # the answer to each neighbourhood prompt

    @property
    def true(self) -> bool:
        """The model says it, however it is asked."""
        return self.prompt.reached and all(reply.reached for reply in self.paraphrases)


Examination = Mapping[int, Finding]  # by edit id


def examine(
    engine: Engine, overlay: Overlay | None, requests: Sequence[EditRequest], *, sparing: bool
) -> Examination:
    """`sparing`: answers are generated only where the target's tokens are the model's first
    choices, as before a batch they seldom are.
    """
    asked = [phrasing for request in requests for phrasing in request.given]
    with engine.editing():
        replies = iter((_sparingly if sparing else _replies)(engine, overlay, asked))
        probes = [probe for request in requests for probe in request.neighborhood]
        said = iter(engine.continued(overlay, probes, [NEIGHBOR_TOKENS] * len(probes)))
    return {
        request.edit_id: Finding(
            next(replies),
            tuple(next(replies) for _ in request.given[1:]),
            tuple(next(said).text for _ in request.neighborhood),
        )
        for request in requests
    }


def efficacy(after: Examination) -> float:
    """The share of edits that the model says on their own prompts."""
    return sum(finding.prompt.reached for finding in after.values()) / len(after)


def paraphrase(after: Examination) -> float | None:
    """The share of given paraphrases on which it says them; None if none was given."""
    reached = [reply.reached for finding in after.values() for reply in finding.paraphrases]
    return sum(reached) / len(reached) if reached else None


def neighborhood(before: Examination, after: Examination) -> float | None:
    """The share of neighbourhood prompts whose answer stayed; None if none was given."""
    stayed = [
        was == now
        for edit_id, finding in after.items()
        for was, now in zip(before[edit_id].neighborhood, finding.neighborhood, strict=True)
    ]
    return sum(stayed) / len(stayed) if stayed else None


def _sparingly(engine: Engine, overlay: Overlay | None, asked: Sequence[Phrasing]) -> list[Reply]:
    scores = _scores(engine, overlay, asked)
    hopeful = [phrasing for phrasing, score in zip(asked, scores, strict=True) if score.greedy]
    found = iter(_replies(engine, overlay, hopeful))
    return [next(found) if score.greedy else Reply(score, reached=False) for score in scores]


def _replies(engine: Engine, overlay: Overlay | None, asked: Sequence[Phrasing]) -> list[Reply]:
    lengths = [len(phrasing.target) + BEYOND_TOKENS for phrasing in asked]
    said = engine.continued(overlay, [phrasing.prompt for phrasing in asked], lengths)
    scores = [_score(phrasing, one) for phrasing, one in zip(asked, said, strict=True)]
    # Where the model says something else, its probabilities are not those of the target.
    others = [phrasing for phrasing, score in zip(asked, scores, strict=True) if score is None]
    scored = iter(_scores(engine, overlay, others))
    return [
        Reply(score or next(scored), _reached(phrasing, one))
        for phrasing, one, score in zip(asked, said, scores, strict=True)
    ]


def _scores(engine: Engine, overlay: Overlay | None, asked: Sequence[Phrasing]) -> list[Score]:
    return engine.score(overlay, [Continuation(p.prompt, p.target) for p in asked])


def _score(phrasing: Phrasing, generation: Generation) -> Score | None:
    """Returns the target's score if its tokens were generated."""
    count = len(phrasing.target)
    said = generation.choices[:count]
    if tuple(choice.token for choice in said) != phrasing.target:
        return None
    logprob = math.fsum(choice.logprob or 0.0 for choice in said)
    return Score(logprob, count, greedy=True)


def _reached(phrasing: Phrasing, generation: Generation) -> bool:
    text = generation.text
    if not text.startswith(phrasing.answer):
        return False
    rest = text[len(phrasing.answer) :]
    if phrasing.closed:
        return not rest and generation.finish_reason is FinishReason.STOP
    return not lengthens(phrasing.answer, rest)
