"""Editing's passes can be interrupted behind each layer, there and back."""

import torch

from service.editing.architectures import layers_of
from service.editing.interruption import aside, interruptible, is_interruptible
from service.editing.taps import tap
from tests.tiny import tiny


class Recorded:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def take(self) -> None:
        self.calls.append("take")

    def give(self) -> None:
        self.calls.append("give")

    def pause(self) -> None:
        self.calls.append("pause")


def test_a_step_pauses_behind_each_layer_both_ways() -> None:
    model, turn = tiny("llama"), Recorded()
    layers = layers_of(model)
    for layer in layers:
        tap(layer)
    inputs = torch.zeros(1, 5, model.config.hidden_size, requires_grad=True)
    with interruptible(model, turn):
        logits = model(inputs_embeds=inputs).logits
        assert turn.calls == ["take", *["pause"] * len(layers)]
        logits.sum().backward()
    assert turn.calls == ["take", *["pause"] * 2 * len(layers), "give"]
    model(inputs_embeds=inputs)
    assert turn.calls[-1] == "give"


def test_work_aside_leaves_the_model_to_others() -> None:
    turn = Recorded()
    with interruptible(tiny("llama"), turn):
        assert is_interruptible()
        with aside():
            assert not is_interruptible()
            assert turn.calls == ["take", "give"]
        assert turn.calls == ["take", "give", "take"]
    assert not is_interruptible()
    with aside():
        assert turn.calls == ["take", "give", "take", "give"]
