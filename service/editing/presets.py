"""Hyperparameters of models that were tuned, and the rule for all others."""

from transformers import PreTrainedModel

from service.editing.grace import GraceHyperparameters


def grace_preset(model_name: str, model: PreTrainedModel) -> GraceHyperparameters:
    return GRACE_PRESETS.get(model_name) or GraceHyperparameters.default(model)


GRACE_PRESETS: dict[str, GraceHyperparameters] = {
    "atlas": GraceHyperparameters(layer=5, module="mlp", radius=4.0),
}
