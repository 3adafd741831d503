"""A batch for models whose attention takes no paged cache: padded, with a cache for each cohort.

Texts that come together are run together to their ends; those that come meanwhile make the next
cohort, and the cohorts take turns.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from service.editing.padding import pad_left
from service.engine.batch import ACTIVE
from service.engine.grid import Stretch
from service.engine.hits import Hits
from service.engine.packed_hooks import Memory
from service.engine.packing import pinned
from service.engine.running import Run
from service.engine.sampling import Choice, choose


@dataclass
class Cohort:
    """Texts whose keys and values lie side by side, their padding in front."""

    runs: list[Run]
    present: Tensor  # [b, t] bool: the tokens that were run, and padding
    cache: DynamicCache


class PaddedBatch:
    def __init__(self, model: PreTrainedModel, pass_tokens: int, hits: Hits) -> None:
        """`pass_tokens`: of the prompts of one pass, with their padding; one text's at least."""
        self._model = model
        self._pass_tokens = pass_tokens
        self._memory = Memory(ACTIVE)
        self._hits = hits
        self._arrived: deque[Run] = deque()
        self._cohorts: deque[Cohort] = deque()

    def add(self, run: Run) -> None:
        self._arrived.append(run)

    def drop(self, runs: Sequence[Run]) -> None:
        gone = set(runs)
        self._arrived = deque(run for run in self._arrived if run not in gone)
        for cohort in self._cohorts:
            left = [i for i, run in enumerate(cohort.runs) if run not in gone]
            if left and len(left) < len(cohort.runs):
                cohort.runs = [cohort.runs[i] for i in left]
                at = torch.tensor(left, device=self._model.device)
                cohort.present = cohort.present[at]
                layers: list[Any] = cohort.cache.layers
                for layer in layers:  # each on its own device
                    layer.batch_select_indices(at.to(layer.device))
            elif not left:
                cohort.runs = []
        self._cohorts = deque(cohort for cohort in self._cohorts if cohort.runs)

    @property
    def cache_share(self) -> None:
        """Each cohort has a cache of its own."""
        return None

    def step(self) -> list[tuple[Run, Choice]]:
        """Prompts first, then the cohort whose turn it is."""
        if self._arrived:
            runs = self._next_arrivals()
            ids, present = pad_left([run.wanted.prompt for run in runs], self._model.device)
            cohort = Cohort(runs, present, DynamicCache(config=self._model.config))
        else:
            cohort = self._cohorts.popleft()
            last = [run.choices[-1].token for run in cohort.runs]
            ids = torch.tensor(last, device=self._model.device)[:, None]
            cohort.present = torch.cat([cohort.present, torch.ones_like(ids, dtype=torch.bool)], 1)
        choices = self._run(cohort, ids)
        self._cohorts.append(cohort)
        return list(zip(cohort.runs, choices, strict=True))

    def _next_arrivals(self) -> list[Run]:
        """As many as one pass takes."""
        runs = [self._arrived.popleft()]
        width = len(runs[0].wanted.prompt)
        while self._arrived:
            width = max(width, len(self._arrived[0].wanted.prompt))
            if width * (len(runs) + 1) > self._pass_tokens:
                break
            runs.append(self._arrived.popleft())
        return runs

    @torch.no_grad()
    def _run(self, cohort: Cohort, ids: Tensor) -> list[Choice]:
        """One pass over the cohort's next tokens `ids` [b, t], padded in front."""
        width = ids.shape[1]
        positions = (cohort.present.cumsum(dim=1) - 1).clamp(min=0)[:, -width:]
        lengths = cohort.present[:, -width:].sum(dim=1).tolist()
        before = cohort.present[:, :-width].sum(dim=1).tolist()
        stretches = [
            Stretch(run, (i + 1) * width - length, past, length)
            for i, (run, length, past) in enumerate(zip(cohort.runs, lengths, before, strict=True))
        ]
        with pinned(self._model, stretches, self._memory, self._hits):
            logits = self._model(
                input_ids=ids,
                attention_mask=cohort.present.long(),
                position_ids=positions,
                past_key_values=cohort.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return choose([run.chooser for run in cohort.runs], logits)
