"""What makes an editor of the locate-and-edit family."""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from service.editing.architectures import down_projection_of, layers_of
from service.editing.gates import Gate
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.update_rules import Rule


@dataclass(frozen=True)
class Method:
    """The update rule, and what else the family's editors differ in."""

    name: str
    rule: Rule
    gated: bool = False  # by z-scores, unless told otherwise; else the change always acts
    accumulates: bool = False  # keeps the keys of earlier batches in mind
    one_by_one: bool = False  # a batch goes in edit by edit
    of_mlp: bool = False  # the target is the MLP's output, not the layer's
    averaged_throughout: bool = False  # residuals, too, are taken at the averaged key

    def gate(self, hyperparameters: LocateHyperparameters) -> Gate:
        return hyperparameters.gate if self.gated else Gate.ALWAYS

    def output_module(self, model: PreTrainedModel, number: int) -> nn.Module:
        """What the targets are outputs of, at layer `number`."""
        return down_projection_of(model, number) if self.of_mlp else layers_of(model)[number]
