"""Whether a batch has harmed the model: its perplexity on text that no edit is about."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.editing.hook_layer import HookLayers
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.engine.scoring import Continuation
from service.operations.statistics import Statistics


@dataclass(frozen=True)
class Diagnosis:
    metrics: dict[str, Any] = field(default_factory=dict)  # fields of `BatchMetrics`
    disabled: str | None = None  # why the batch must not be published


class Health:
    """Codebooks answer inside their radii alone; hook layers can reach everything."""

    def __init__(self, engine: Engine, statistics: Statistics, max_ratio: float) -> None:
        self._engine = engine
        self._statistics = statistics
        self._max_ratio = max_ratio

    def of(self, before: Overlay | None, after: Overlay | None) -> Diagnosis:
        """What a batch made of the model, which was under overlay `before` and is under `after`."""
        if not isinstance(after, HookLayers):
            return Diagnosis()
        texts = self._statistics.unrelated_texts()
        with self._engine.editing():
            was = perplexity(self._engine, before, texts)
            now = perplexity(self._engine, after, texts)
        # Written so that a perplexity which is not a number counts as harm.
        if not now <= was * self._max_ratio:
            return Diagnosis(
                disabled=f"the batch raises the perplexity of unrelated text from {was:.4g} to "
                f"{now:.4g}, more than {self._max_ratio:g} times: it was not published"
            )
        return Diagnosis({"perplexity_before": was, "perplexity_after": now})


def perplexity(engine: Engine, overlay: Overlay | None, texts: Sequence[Sequence[int]]) -> float:
    """E to the mean negative log-likelihood per token of `texts` (token ids, two or more each);
    infinite where the model gives up.
    """
    scores = engine.score(
        overlay, [Continuation(tuple(text[:1]), tuple(text[1:])) for text in texts]
    )
    mean = -sum(score.logprob for score in scores) / sum(score.tokens for score in scores)
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf
