"""How long batches take, phase by phase."""

from dataclasses import asdict

from service.domain.batches import BatchTimings
from service.domain.distribution import Distribution

BOUNDS_S = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
)  # fmt: skip


class Phases:
    """Of batches of this server, committed or not, since its start."""

    def __init__(self) -> None:
        self.seconds = {name: Distribution(BOUNDS_S) for name in ("targets", "insert", "verify")}

    def took(self, timings: BatchTimings) -> None:
        for field, seconds in asdict(timings).items():
            self.seconds[field.removesuffix("_s")].add(seconds)
