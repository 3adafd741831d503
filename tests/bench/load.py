"""Closed loops of requests: as one ends the next begins, so that as many are always under way."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Protocol

MS = 1_000.0


@dataclass
class Text:
    """One request, by the clock of `time.perf_counter`."""

    asked: float = field(default_factory=time.perf_counter)
    arrived: list[float] = field(default_factory=list)  # of each token

    def arrives(self) -> None:
        self.arrived.append(time.perf_counter())


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """Of two at least."""
        return cls(median(seconds) * MS, quantiles(seconds, n=20, method="inclusive")[-1] * MS)

    @classmethod
    def middle(cls, some: Sequence["Latency"]) -> "Latency":
        return cls(median(one.p50 for one in some), median(one.p95 for one in some))


@dataclass(frozen=True)
class Traffic:
    """What came of some requests."""

    pace: float  # tokens per second
    first: Latency  # from the question to the first token
    between: Latency  # from each token to the next
    failed: int

    @classmethod
    def of(cls, texts: Sequence[Text], seconds: float, failed: int = 0) -> "Traffic":
        pairs = [pair for t in texts for pair in zip(t.arrived, t.arrived[1:], strict=False)]
        return cls(
            pace=sum(len(text.arrived) for text in texts) / seconds,
            first=Latency.of([text.arrived[0] - text.asked for text in texts]),
            between=Latency.of([later - earlier for earlier, later in pairs]),
            failed=failed,
        )

    @classmethod
    def middle(cls, some: Sequence["Traffic"]) -> "Traffic":
        """The median of each figure."""
        return cls(
            pace=median(one.pace for one in some),
            first=Latency.middle([one.first for one in some]),
            between=Latency.middle([one.between for one in some]),
            failed=sum(one.failed for one in some),
        )


class Queue(Protocol):
    """Continues prompts in another thread."""

    def begin(self, prompt: str) -> None: ...

    def ended(self) -> Text:
        """Waits for the next text that is whole."""
        ...


def closed_loop(asked: Queue, prompts: Iterable[str], at_once: int) -> Traffic:
    left = iter(prompts)
    texts = []
    started = time.perf_counter()
    under_way = 0
    for prompt, _ in zip(left, range(at_once), strict=False):
        asked.begin(prompt)
        under_way += 1
    while under_way:
        texts.append(asked.ended())
        following = next(left, None)
        if following is None:
            under_way -= 1
        else:
            asked.begin(following)
    return Traffic.of(texts, time.perf_counter() - started)
