"""What the engine counts of the texts that it continues; the engine's thread alone writes."""

import time
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.distribution import Distribution
from service.engine.running import Run

# vLLM's bounds, in seconds.
FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
NEXT_TOKEN = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
)  # fmt: skip
WHOLE_TEXT = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip
SMALL = (0.001, 0.0025, 0.005)  # a small model's, which vLLM has no bounds for


class Ending(StrEnum):
    """How a text ended; vLLM's words."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"  # its client left
    ERROR = "error"  # a pass failed, or the server stopped


@dataclass
class Counts:
    prompt_tokens: int = 0  # of texts that have begun
    generated_tokens: int = 0  # as chosen: one that ends a text counts
    endings: dict[Ending, int] = field(default_factory=lambda: dict.fromkeys(Ending, 0))
    first_token_s: Distribution = field(default_factory=lambda: Distribution(FIRST_TOKEN))
    next_token_s: Distribution = field(default_factory=lambda: Distribution(SMALL + NEXT_TOKEN))
    whole_text_s: Distribution = field(default_factory=lambda: Distribution(WHOLE_TEXT))

    def took(self, run: Run, now: float) -> None:
        """The text took a token at `now`, on the clock `time.monotonic`."""
        if run.last_token_at is None:
            self.prompt_tokens += len(run.wanted.prompt)
            self.first_token_s.add(now - run.asked_at)
            run.first_token_at = now
        else:
            self.next_token_s.add(now - run.last_token_at)
        self.generated_tokens += 1
        run.last_token_at = now

    def ended(self, run: Run, error: Exception | None) -> None:
        if error is not None:
            self.endings[Ending.ERROR] += 1
        elif run.ended is None:
            self.endings[Ending.ABORT] += 1
        else:
            self.endings[Ending(run.ended)] += 1
            self.whole_text_s.add(time.monotonic() - run.asked_at)
