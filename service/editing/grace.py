"""GRACE: each edit learns the vectors that its layer must return, then enters the codebook.

Hartvigsen et al. 2023, section 3. The values of a whole batch are optimised together: they are
independent of each other, since a key's query depends on nothing that a codebook changes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from service.domain.edits import Correction, Format
from service.editing.architectures import architecture_of, layers_of
from service.editing.codebook import (
    COINCIDENT,
    Codebook,
    Draft,
    Replacement,
    Rule,
    Scope,
    Site,
    Target,
)
from service.editing.codebook_change import CodebookChange
from service.editing.conversations import in_conversations
from service.editing.deferral_radii import DeferralRadii
from service.editing.descent import descend
from service.editing.growth import metrics_of
from service.editing.nearest import distances
from service.editing.prefixes import Text
from service.editing.requests import EditRequest, Phrasing, edit_request, templated
from service.editing.splitting import Splitting
from service.editing.suffix import SuffixRun
from service.editing.taps import tap
from service.editing.values import ValueRun, ValueTable
from service.errors import EditingError


class Keyed(StrEnum):
    """Which tokens of an edit get a codebook entry."""

    PROMPT = "prompt"  # the prompt's last, as in the paper: one value must bring out all tokens
    TARGET = "target"  # that and all but the last of the target: each brings out its next token


@dataclass(frozen=True)
class GraceHyperparameters:
    layer: Annotated[int, Field(ge=0)]
    module: str  # path within the layer
    replacement: Replacement = Replacement.LAST
    keyed: Keyed = Keyed.TARGET
    # Initial deferral radius (epsilon), in the units of the module's input; None: it is measured.
    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    scope: Scope = Scope.PHRASINGS
    # How far the key of one text may move from one pass to another, as a share of its length.
    noise: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    steps: Annotated[int, Field(ge=1, le=1_000)] = 100
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    # Mean nats per target token under which an edit is done; 0: never.
    stop_loss: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05


# What batches were inserted by before these were recorded.
EARLIEST = {"scope": Scope.PAPER, "noise": 0.0}
# The least of what keys move by; float32 itself moves less.
LEAST_NOISE = 1e-4
# Of the steps on an edit's given phrasings, those on its other spellings as well.
SPELLED_STEPS = 0.25


def noise_of(dtype: torch.dtype) -> float:
    """How far keys that a model of this dtype computes move, as a share of their lengths."""
    return max(LEAST_NOISE, torch.finfo(dtype).eps)


def site_of(hyperparameters: GraceHyperparameters) -> Site:
    return Site(hyperparameters.layer, hyperparameters.module, hyperparameters.replacement)


class Grace:
    """The editor `grace`."""

    name = "grace"
    exact = True

    def __init__(
        self,
        model: PreTrainedModel,
        hyperparameters: GraceHyperparameters,
        radii: DeferralRadii | None = None,
        splitting: Splitting | None = None,
    ) -> None:
        """`radii` are used where the hyperparameters have none; None for one that only replays,
        since targets bring theirs.
        """
        self._model = model
        self._radii = radii
        self._splitting = splitting or Splitting()
        layer = layers_of(model)[hyperparameters.layer]
        self._module = layer.get_submodule(hyperparameters.module)
        config = model.config.get_text_config()
        self._most_tokens: int | None = getattr(config, "max_position_embeddings", None)
        # What this module returns is added to what its layer returns, as it is: values can be tried
        # from the next layer on, if there is one.
        default = hyperparameters.module == architecture_of(model).codebook_module
        self._added = default and hyperparameters.layer + 1 < len(layers_of(model))
        for module in (*layers_of(model)[hyperparameters.layer :], self._module):
            tap(module)  # while nobody runs the model
        self.hyperparameters = hyperparameters
        self.site = site_of(hyperparameters)
        self.rule = Rule(hyperparameters.radius, hyperparameters.scope, hyperparameters.noise)

    def recorded(self) -> dict[str, Any]:
        """The hyperparameters as they are written to the log."""
        return asdict(self.hyperparameters)

    def request(
        self,
        tokenizer: PreTrainedTokenizerBase,
        edit_id: int,
        correction: Correction,
        phrasings: Sequence[Phrasing],
    ) -> EditRequest:
        with templated(edit_id):
            more: Iterable[Phrasing] = ()
            if self.hyperparameters.scope is Scope.PHRASINGS:
                more = in_conversations(tokenizer, correction, phrasings, self._most_tokens)
            return edit_request(tokenizer, edit_id, correction, [*phrasings, *more])

    def insert(self, codebook: Codebook | None, targets: Sequence[Target]) -> Codebook | None:
        """The closed-form part: no gradient step."""
        if codebook is None and not targets:
            return None
        grown = codebook or Codebook.empty()
        return grown.insert(self.site, targets, self.rule)

    def keys(self, prompts: Sequence[tuple[int, ...]]) -> Tensor:
        """[n, d_key] float32, on the CPU: what the module is given at the end of each prompt."""
        # The last token of a text is not run: any one does.
        texts = [Text(n, p, p[-1:], self._start(p)) for n, p in enumerate(prompts)]
        return self._watched(ValueTable.of(texts, every_token=False))[0]

    def targets(
        self, codebook: Codebook | None, requests: Sequence[EditRequest]
    ) -> tuple[list[Target], list[EditingError]]:
        """Optimises the values of every request; `codebook` gives the starting points of those that
        widen an entry. Returns the targets, in order, and the edits that could not be optimised, or
        cannot be told apart from one of their neighbours.
        """
        if not requests:
            return [], []
        table = ValueTable.of(
            [
                Text(number, p.prompt, p.learned, self._start(p.prompt), spelled=not p.given)
                for number, request in enumerate(requests)
                for p in request.phrasings
            ],
            every_token=self.hyperparameters.keyed is Keyed.TARGET,
        )
        keys, own = self._watched(table)
        radii, faults = self._radii_of(requests, table, keys)
        _, _, row_of = table.queries
        # The first of a row's tokens gives its start: the last entry of a dict stays.
        first = {row: query for query, row in reversed(list(enumerate(row_of)))}
        values = own[[first[row] for row in sorted(first)]]

        def targets() -> list[Target]:
            found = values.cpu()
            return [
                table.target(number, request.edit_id, keys, radii, found)
                for number, request in enumerate(requests)
            ]

        for wave in self._waves(codebook or Codebook.empty(), targets()):
            for number, starts in wave.items():
                for row, start in zip(table.rows_of(number), starts, strict=True):
                    if isinstance(start, Tensor):
                        values[row] = start.to(values.device)
                    elif start is not None:
                        mate, position = start
                        values[row] = values[table.rows_of(mate)[position]]
            steps = self.hyperparameters.steps
            self._optimise(values, table.taught(), set(wave), steps)
            if table.has_spelled:  # of which few want more
                self._optimise(values, table, set(wave), math.ceil(steps * SPELLED_STEPS))

        sound = []
        for target in targets():
            if not target.is_finite():
                faults[target.edit_id] = "its values or keys are not finite"
            if target.edit_id not in faults:
                sound.append(target)
        return sound, [EditingError(edit_id, reason) for edit_id, reason in faults.items()]

    def change(
        self, parent: Codebook | None, state: Codebook | None, targets: Sequence[Target]
    ) -> CodebookChange:
        """What made `state` out of `parent`."""
        grown = state or Codebook.empty()
        rows = grown.difference(parent or Codebook.empty())
        return CodebookChange(self.site, tuple(targets), rows)

    def metrics(
        self,
        parent: Codebook | None,
        state: Codebook | None,
        targets: Sequence[Target],  # noqa: ARG002  # of every editor's signature
    ) -> dict[str, Any]:
        """How the codebook grew."""
        old, new = parent or Codebook.empty(), state or Codebook.empty()
        return metrics_of(len(old), len(new), new.difference(old).index)

    def _radii_of(
        self, requests: Sequence[EditRequest], table: ValueTable, keys: Tensor
    ) -> tuple[Tensor, dict[int, str]]:
        """The radii [q] that `keys` [q, d_key] begin with, none of which reaches a neighbour of its
        edit; and by id what is wrong with edits that have a neighbour where a given prompt is.
        """
        phrasings = [phrasing for request in requests for phrasing in request.phrasings]
        texts, columns, _ = table.queries
        radii = torch.tensor([self._radius(phrasings[text].form) for text in texts])
        faults: dict[int, str] = {}
        beside = [neighbor.prompt for request in requests for neighbor in request.neighborhood]
        if not beside:
            return radii, faults
        neighbors = self.keys(beside).split([len(r.neighborhood) for r in requests])
        for number, (request, others) in enumerate(zip(requests, neighbors, strict=True)):
            if not request.neighborhood:
                continue
            own = table.queries_of(number)
            apart = distances(keys[own], others).amin(dim=1)
            noise = max(self.hyperparameters.noise, COINCIDENT)
            slack = noise * torch.linalg.vector_norm(keys[own], dim=1)
            radii[own] = torch.minimum(radii[own], apart - slack).clamp(min=0)
            for at, query in enumerate(own):
                phrasing = phrasings[texts[query]]
                ends = columns[query] == table.texts[texts[query]].query
                least = 2 * float(slack[at])
                if phrasing.given and ends and float(apart[at]) < least:
                    faults.setdefault(
                        request.edit_id,
                        f"a neighborhood prompt is met where {phrasing.field} is: their states are "
                        f"{float(apart[at]):.4f} apart, and {least:.4f} is the least that can be "
                        "told apart",
                    )
        return radii, faults

    def _radius(self, form: Format) -> float:
        if self.hyperparameters.radius is not None:
            return self.hyperparameters.radius
        if self._radii is None:
            raise ValueError("an editor without radii only replays")
        return self._radii.of(form)

    def _watched(self, table: ValueTable) -> tuple[Tensor, Tensor]:
        """The module's inputs [q, d_key], on the CPU, and outputs [q, d_value] at the table's
        queries, float32.
        """

        def run(part: list[int]) -> tuple[Tensor, Tensor]:
            some = table.of_edits(set(part))
            text_of, column_of, _ = some.queries
            inputs, outputs = self._suffixes(some).watched
            at = (text_of, column_of)
            return inputs[at].float().cpu(), outputs[at].float()

        parts = self._splitting.over(table.whole_sizes, run)
        inputs, outputs = (torch.cat(side) for side in zip(*parts, strict=True))
        return inputs, outputs

    def _suffixes(self, table: ValueTable) -> SuffixRun:
        """The table's texts, from the first layer that a value changes as a whole."""
        first = self.hyperparameters.layer + self._added
        return SuffixRun.of(self._model, table.texts, first, watch=self._module)

    def _start(self, prompt: Sequence[int]) -> int:
        """The first token that a value can change."""
        last = self.hyperparameters.replacement is Replacement.LAST
        return len(prompt) - 1 if last else 0

    def _waves(
        self, codebook: Codebook, drafts: Sequence[Target]
    ) -> list[dict[int, list["Start"]]]:
        """Sorts a batch into waves and says where each of an edit's values starts: where it adds an
        entry, at the module's own output (None); where it widens one, at that entry's value, which
        may be set by a batch-mate (its number, and which of its values) of an earlier wave.
        """
        entries_of = Draft(codebook, self.site).insert(drafts, self.rule)
        writer: dict[int, tuple[int, int]] = {}  # entry -> the batch-mate's value that it holds
        wave_of: list[int] = []
        waves: list[dict[int, list[Start]]] = []
        for number, (target, entries) in enumerate(zip(drafts, entries_of, strict=True)):
            starts: list[Start] = [None] * len(target.values)
            wave = 0
            for entry, position in zip(entries, target.value_of, strict=True):
                label = target.labels[position]
                mate = writer.get(entry)
                if starts[position] is not None or (mate is not None and mate[0] == number):
                    continue  # the first of a value's keys decides
                if mate is not None and drafts[mate[0]].labels[mate[1]] == label:
                    starts[position] = mate
                    wave = max(wave, wave_of[mate[0]] + 1)
                elif mate is None and entry < len(codebook) and codebook.labels[entry] == label:
                    starts[position] = codebook.rows([entry]).values[0]
            writer |= {
                entry: (number, position)
                for entry, position in zip(entries, target.value_of, strict=True)
            }
            wave_of.append(wave)
            while wave >= len(waves):
                waves.append({})
            waves[wave][number] = starts
        return waves

    def _optimise(self, values: Tensor, table: ValueTable, numbers: set[int], steps: int) -> None:
        """Optimises in place the rows of `values` [v, d] that belong to the edits `numbers`, so
        that each of their texts continues with its target.
        """
        parameters = self.hyperparameters

        def optimise(part: list[int]) -> None:
            # An attempt that ran out of memory may have moved them.
            own = [row for number in part for row in table.rows_of(wave[number])]
            values[own] = starts[own]
            some = table.of_edits({wave[number] for number in part})
            tapped = None if self._added else self._module
            descend(
                values,
                ValueRun(self._suffixes(some), tapped, some, parameters.replacement),
                learning_rate=parameters.learning_rate,
                steps=steps,
                stop_loss=parameters.stop_loss,
            )

        wave = sorted(numbers)
        starts = values.clone()
        self._splitting.over([table.suffix_sizes[number] for number in wave], optimise)


# Where a value starts: at the module's output, at a vector, or at a batch-mate's value.
Start = Tensor | tuple[int, int] | None
