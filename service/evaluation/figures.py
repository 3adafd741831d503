"""The field's figures, from what a model says of prompts and targets.

ES, PS and NS as Meng et al. 2022 define them (appendix): shares of edits, or of prompts, where one
target is likelier than the other. Their exact twins ask for the whole target by greedy decoding.
Where a set gives several right answers, each of them is right: the likeliest is compared, and one
that is said suffices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a model says of one target after one prompt."""

    logprob: float  # summed over the target's tokens
    greedy: bool  # greedy decoding says the whole target


def any_of(said: Sequence[Said]) -> Said | None:
    """What a model says of the right answers to one prompt; None if there are none."""
    if not said:
        return None
    return Said(max(one.logprob for one in said), any(one.greedy for one in said))


@dataclass(frozen=True)
class Asked:
    """One prompt with two targets: the one that it should have, and the other."""

    wanted: Said
    other: Said | None  # None where the dataset names none: nothing can be compared


@dataclass(frozen=True)
class Figures:
    """Shares, 0 to 1; None where the dataset has no such prompts."""

    efficacy: float | None  # ES: P(target_new) > P(target_true) on the prompts
    paraphrase: float | None  # PS: the same on the paraphrases
    neighborhood: float | None  # NS: P(true) > P(target_new) on the neighbours
    efficacy_exact: float | None  # target_new is said
    paraphrase_exact: float | None
    neighborhood_exact: float | None  # the true answer is said


def figures(
    prompts: Sequence[Asked], paraphrases: Sequence[Asked], neighbors: Sequence[Asked]
) -> Figures:
    return Figures(
        efficacy=likelier(prompts),
        paraphrase=likelier(paraphrases),
        neighborhood=likelier(neighbors),
        efficacy_exact=said(prompts),
        paraphrase_exact=said(paraphrases),
        neighborhood_exact=said(neighbors),
    )


def likelier(asked: Sequence[Asked]) -> float | None:
    return share([one.wanted.logprob > one.other.logprob for one in asked if one.other])


def said(asked: Sequence[Asked]) -> float | None:
    return share([one.wanted.greedy for one in asked])


def share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def harmonic_mean(shares: Iterable[float | None]) -> float:
    """The harmonic mean of those shares that there are; 0 if there are none, or one is 0."""
    there = [share for share in shares if share is not None]
    if not there or min(there) == 0:
        return 0.0
    return len(there) / sum(1 / share for share in there)
