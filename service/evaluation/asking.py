"""Asks an engine in this process for the figures of some records."""

from collections.abc import Iterator, Sequence

from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.evaluation.datasets import Record
from service.evaluation.figures import Asked, Figures, Said, figures
from service.operations.wording import Pair, Wording

# Texts whose scores are asked for at once.
ASKED_AT_ONCE = 256


def figures_of(
    engine: Engine, overlay: Overlay | None, records: Sequence[Record], given: int = 0
) -> Figures:
    """What the model says of `records` under `overlay`; PS is of the paraphrases from number
    `given` on.
    """

    def asked(triples: list[tuple[str, str, str]]) -> list[Asked]:
        return list(_ask(engine, overlay, triples))

    return figures(
        asked([(r.prompt, r.target_new, r.target_true) for r in records]),
        asked([(p, r.target_new, r.target_true) for r in records for p in r.paraphrases[given:]]),
        asked([(n.prompt, n.answer, r.target_new) for r in records for n in r.neighborhood]),
    )


def known(engine: Engine, records: Sequence[Record], limit: int) -> list[Record]:
    """The first `limit` of those whose true answer the unedited model says, with subject."""
    found: list[Record] = []
    wording = Wording(engine)
    for start in range(0, len(records), ASKED_AT_ONCE):
        some = [r for r in records[start : start + ASKED_AT_ONCE] if r.subject in r.prompt]
        scores = engine.score(
            None, wording.continuations([Pair(r.prompt, r.target_true) for r in some])
        )
        found += [record for record, score in zip(some, scores, strict=True) if score.greedy]
        if len(found) >= limit:
            break
    return found[:limit]


def _ask(
    engine: Engine, overlay: Overlay | None, triples: Sequence[tuple[str, str, str]]
) -> Iterator[Asked]:
    """Of prompt, wanted and other answer."""
    wording = Wording(engine)
    for start in range(0, len(triples), ASKED_AT_ONCE):
        some = triples[start : start + ASKED_AT_ONCE]
        pairs = wording.continuations([Pair(one[0], one[i]) for i in (1, 2) for one in some])
        said = [Said(score.logprob, score.greedy) for score in engine.score(overlay, pairs)]
        for wanted, other in zip(said[: len(some)], said[len(some) :], strict=True):
            yield Asked(wanted, other)
