"""How likely targets are."""

from pydantic import BaseModel, Field

from service.api.responses.explained import FiringOut
from service.api.responses.generated import TextOf
from service.engine.scoring import Score


class TargetScore(BaseModel):
    target: str
    logprob: float = Field(description="natural logarithm, summed over the target's tokens")
    tokens: int
    greedy: bool = Field(description="each token is the model's first choice")
    explain: list[FiringOut] | None = None

    @classmethod
    def of(cls, target: str, score: Score, text_of: TextOf) -> "TargetScore":
        return cls(
            target=target,
            logprob=score.logprob,
            tokens=score.tokens,
            greedy=score.greedy,
            explain=FiringOut.of(score.record, text_of),
        )


class ScoreOut(BaseModel):
    version: int
    scores: list[TargetScore]
