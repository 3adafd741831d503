"""Which token comes next: a choice among one text's logits, the same whatever else runs."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# From one choice's seed to the next one's: odd, so that no two of a request share one.
SEED_STEP = 0x9E3779B97F4A7C15
SEEDS = 2**63


def any_seed() -> int:
    """For a request that names none."""
    return secrets.randbelow(SEEDS)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. As it stands: the likeliest."""

    temperature: float = 0.0  # 0: always the likeliest token
    top_p: float = 1.0  # of the likeliest tokens, as few as have this share of the probability
    top_k: int = 0  # of so many likeliest tokens; 0: of all
    repetition_penalty: float = 1.0  # divides the logits of tokens that the text holds (CTRL)
    seed: int = 0
    logprobs: int | None = None  # how many likeliest tokens are named beside each chosen one

    def of_choice(self, number: int) -> "Sampling":
        """For one of a request's several texts; the first has the request's own seed."""
        return replace(self, seed=(self.seed + number * SEED_STEP) % SEEDS)


@dataclass(frozen=True)
class Choice:
    """A chosen token; its logarithms are natural, and of what the model itself says."""

    token: int
    logprob: float | None = None
    likeliest: tuple[tuple[int, float], ...] = ()  # tokens and logprobs, the likeliest first


class Chooser:
    """Chooses the tokens of one text, one after another."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._held = set(prompt)  # what a repetition penalty is for
        self._random = torch.Generator().manual_seed(sampling.seed)
        # It takes the likeliest token, and wants to know nothing else.
        self.plain = (
            sampling.temperature == 0
            and sampling.repetition_penalty == 1
            and sampling.logprobs is None
        )

    def choose(self, logits: Tensor) -> Choice:
        """From one row of logits [vocabulary]."""
        logits = logits.float()
        token = self._choose(self._penalised(logits))
        self._held.add(token)
        if self._sampling.logprobs is None:
            return Choice(token)
        logprobs = logits.log_softmax(dim=0)
        values, tokens = logprobs.topk(min(self._sampling.logprobs, len(logprobs)))
        likeliest = tuple(zip(tokens.tolist(), values.tolist(), strict=True))
        return Choice(token, float(logprobs[token]), likeliest)

    def _penalised(self, logits: Tensor) -> Tensor:
        """Keskar et al. 2019, with the sign of the logit heeded, as transformers does it."""
        penalty = self._sampling.repetition_penalty
        if penalty == 1:
            return logits
        held = torch.tensor(sorted(self._held), device=logits.device)
        own = logits[held]
        return logits.index_put((held,), torch.where(own < 0, own * penalty, own / penalty))

    def _choose(self, logits: Tensor) -> int:
        asked = self._sampling
        if asked.temperature == 0:
            return int(logits.argmax())
        most = min(asked.top_k or len(logits), len(logits))
        # Tokens of the same logit stand in order, so that a draw falls on the same one everywhere.
        values, tokens = logits.cpu().double().sort(descending=True, stable=True)
        shares = ((values[:most] - values[0]) / asked.temperature).softmax(dim=0)
        before = shares.cumsum(dim=0) - shares
        shares = shares.masked_fill(before >= asked.top_p, 0.0)
        reached = shares.cumsum(dim=0)
        drawn = torch.rand((), generator=self._random, dtype=torch.float64) * reached[-1]
        return int(tokens[int(torch.searchsorted(reached, drawn, right=True).clamp(max=most - 1))])


def choose(choosers: Sequence[Chooser], logits: Tensor) -> list[Choice]:
    """One choice for each row of `logits` [n, vocabulary]."""
    return [
        Choice(token) if chooser.plain else chooser.choose(logits[row])
        for row, (chooser, token) in enumerate(zip(choosers, likeliest(logits), strict=True))
    ]


def likeliest(logits: Tensor) -> list[int]:
    """Each row's largest, the first of equal ones."""
    if logits.is_cpu:  # where numpy finds it in a fiftieth of the time that torch takes
        tokens: list[int] = logits.float().numpy().argmax(axis=1).tolist()
        return tokens
    return logits.argmax(dim=1).tolist()
