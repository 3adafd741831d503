"""Asks an engine in this process for the figures of some records."""

from collections.abc import Sequence

from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.evaluation.datasets import Record
from service.evaluation.figures import Asked, Figures, Said, figures
from service.evaluation.questions import Question, of_neighbors, of_paraphrases, of_prompts
from service.operations.wording import Pair, Wording

# Texts whose scores are asked for at once.
ASKED_AT_ONCE = 256


def figures_of(
    engine: Engine, overlay: Overlay | None, records: Sequence[Record], given: int = 0
) -> Figures:
    """What the model says of `records` under `overlay`; PS is of the paraphrases from number
    `given` on.
    """
    return figures(
        _ask(engine, overlay, of_prompts(records)),
        _ask(engine, overlay, of_paraphrases(records, given)),
        _ask(engine, overlay, of_neighbors(records)),
    )


def known(engine: Engine, records: Sequence[Record], limit: int) -> list[Record]:
    """The first `limit` of those whose true answer the unedited model says, and whose subject, if
    they name one, is a span of the prompt.
    """
    found: list[Record] = []
    asked = [r for r in records if r.subject == r.span and r.target_true]
    for start in range(0, len(asked), ASKED_AT_ONCE):
        some = asked[start : start + ASKED_AT_ONCE]
        true = [Question(r.prompt, r.target_true, ()) for r in some]
        answered = zip(some, _ask(engine, None, true), strict=True)
        found += [record for record, one in answered if one.wanted.greedy]
        if len(found) >= limit:
            break
    return found[:limit]


def _ask(engine: Engine, overlay: Overlay | None, questions: Sequence[Question]) -> list[Asked]:
    wording = Wording(engine)
    pairs = [Pair(one.prompt, target) for one in questions for target in one.targets]
    said: list[Said] = []
    for start in range(0, len(pairs), ASKED_AT_ONCE):
        some = wording.continuations(pairs[start : start + ASKED_AT_ONCE])
        said += [Said(score.logprob, score.greedy) for score in engine.score(overlay, some)]
    each = iter(said)
    return [one.answered([next(each) for _ in one.targets]) for one in questions]
