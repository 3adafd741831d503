"""What the model says of a batch's edits under one overlay: read before it, and again after.

Answers are generated as serving generates them: what a pass of another kind finds may differ in the
last digit, and an edit would be called verified that no client is answered by.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.editing.lengthening import lengthens
from service.editing.overlays import Overlay
from service.editing.requests import EditRequest, Neighbor, Phrasing
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

    phrasing: Phrasing
    score: Score  # of target_new
    reached: bool  # greedy generation says target_new, and does not lengthen its last word

    @property
    def probability(self) -> float:
        """How likely target_new's own tokens are, 0 to 1."""
        found = math.exp(self.score.logprob)
        # Of a model that gives up: no JSON holds what is not a number.
        return 0.0 if math.isnan(found) else found


@dataclass(frozen=True)
class Finding:
    """About one edit."""

    replies: tuple[Reply, ...]  # to its prompt, in each of its forms, and then to its paraphrases
    neighbors: tuple[Neighbor, ...]
    answers: tuple[str, ...]  # to each of the neighbours

    @property
    def prompts(self) -> tuple[Reply, ...]:
        return tuple(reply for reply in self.replies if reply.phrasing.number == 0)

    @property
    def paraphrases(self) -> tuple[Reply, ...]:
        return tuple(reply for reply in self.replies if reply.phrasing.number > 0)

    @property
    def probability(self) -> float:
        """How likely the target is after the prompt, in its first form."""
        return self.prompts[0].probability

    @property
    def said(self) -> bool:
        """The model says it when it is asked by the prompt."""
        return all(reply.reached for reply in self.prompts)

    @property
    def true(self) -> bool:
        """The model says it, however it is asked."""
        return all(reply.reached for reply in self.replies)

    def moved(self, before: "Finding") -> list[Neighbor]:
        """The neighbours whose answers are not what they were."""
        answers = zip(self.neighbors, before.answers, self.answers, strict=True)
        return [neighbor for neighbor, was, now in answers if was != now]


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
        neighbors = [one.prompt for request in requests for one in request.neighborhood]
        said = iter(engine.continued(overlay, neighbors, [NEIGHBOR_TOKENS] * len(neighbors)))
    return {
        request.edit_id: Finding(
            tuple(next(replies) for _ in request.given),
            request.neighborhood,
            tuple(next(said).text for _ in request.neighborhood),
        )
        for request in requests
    }


def efficacy(after: Examination) -> float:
    """The share of edits that the model says on their own prompts."""
    return sum(finding.said for finding in after.values()) / len(after)


def paraphrase(after: Examination) -> float | None:
    """The share of given paraphrases on which it says them; None if none was given."""
    reached = [reply.reached for finding in after.values() for reply in finding.paraphrases]
    return sum(reached) / len(reached) if reached else None


def neighborhood(before: Examination, after: Examination) -> float | None:
    """The share of neighbourhood prompts whose answer stayed; None if none was given."""
    count = sum(len(finding.neighbors) for finding in after.values())
    moved = sum(len(finding.moved(before[edit_id])) for edit_id, finding in after.items())
    return 1 - moved / count if count else None


def _sparingly(engine: Engine, overlay: Overlay | None, asked: Sequence[Phrasing]) -> list[Reply]:
    scores = _scores(engine, overlay, asked)
    hopeful = [phrasing for phrasing, score in zip(asked, scores, strict=True) if score.greedy]
    found = iter(_replies(engine, overlay, hopeful))
    return [
        next(found) if score.greedy else Reply(phrasing, score, reached=False)
        for phrasing, score in zip(asked, scores, strict=True)
    ]


def _replies(engine: Engine, overlay: Overlay | None, asked: Sequence[Phrasing]) -> list[Reply]:
    lengths = [len(phrasing.target) + BEYOND_TOKENS for phrasing in asked]
    said = engine.continued(overlay, [phrasing.prompt for phrasing in asked], lengths)
    scores = [_score(phrasing, one) for phrasing, one in zip(asked, said, strict=True)]
    # Where the model says something else, its probabilities are not those of the target.
    others = [phrasing for phrasing, score in zip(asked, scores, strict=True) if score is None]
    scored = iter(_scores(engine, overlay, others))
    return [
        Reply(phrasing, score or next(scored), _reached(phrasing, one))
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
