"""The edits applied together, in one step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.states import BatchState


@dataclass(frozen=True)
class LayerMetrics:
    """How far one layer has been changed, by this batch and all before it: Frobenius norms."""

    layer: int
    delta_norm: float
    weight_norm: float  # of the base model's weight


@dataclass(frozen=True)
class BatchMetrics:
    """How a batch went. Shares are of edits (efficacy) or of prompts (the others), 0 to 1."""

    edits: int
    already_true: int
    efficacy: float | None  # target_new reached by greedy decoding on the edit's own prompt
    paraphrase: float | None  # the same on given paraphrases; None where none was given
    neighborhood: float | None  # prompts whose answer stayed; None where none was given
    # Of a codebook:
    entries: int | None = None  # after the batch
    entries_added: int | None = None
    entries_changed: int | None = None
    # Of hook layers:
    layers: tuple[LayerMetrics, ...] = ()
    residual: float | None = None  # mean distance to the targets, in lengths of the targets
    perplexity_before: float | None = None  # of a fixed text that no edit is about
    perplexity_after: float | None = None


@dataclass(frozen=True)
class BatchTimings:
    """Seconds by phase."""

    targets_s: float
    insert_s: float
    verify_s: float


@dataclass(frozen=True)
class Batch:
    id: int
    editor: str
    status: BatchState
    version: int  # the version that applied it
    edit_ids: tuple[int, ...]
    hyperparameters: dict[str, Any]
    metrics: BatchMetrics
    timings: BatchTimings
    artifact: str  # sha256 of the file that holds its targets
    created_at: datetime
