"""The hyperparameters of locate-and-edit, by the names under which they are set and recorded."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from service.editing.gates import Gate
from service.editing.positions import Position

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class TargetHyperparameters:
    """Of finding a target hidden state."""

    steps: Annotated[int, Field(ge=1, le=1_000)] = (
        20  # evaluations of the objective; there is one step less
    )
    learning_rate: Positive = 0.5
    clamp_norm_factor: Positive = 0.75  # most of |shift|, in lengths of the initial state
    kl_factor: NotNegative = 0.0625
    weight_decay: NotNegative = 0.5
    stop_loss: NotNegative = 0.05  # nats; 0: never


@dataclass(frozen=True, kw_only=True)
class LocateHyperparameters(TargetHyperparameters):
    # Ascending; the targets are found at the last.
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    position: Position = Position.LAST  # the token that stands for the subject
    # Of the context templates: MEMIT's ten.
    context_tokens: Annotated[int, Field(ge=1, le=64)] = 10
    second_moment_weight: Positive = 15_000.0  # lambda
    ridge: NotNegative = 0.1  # of EMMET's constraint
    gate: Gate = Gate.SEQUENCE  # of a gated method
    alpha: Annotated[float, Field(allow_inf_nan=False)] = (
        2.2  # where the sequence gate's alpha starts
    )
    quantile: Annotated[float, Field(ge=0, le=1)] = (
        0.05  # of subjects that the calibrated gate may leave outside
    )
