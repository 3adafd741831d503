"""MEMIT, EMMET, ROME, R-ROME and CoachHook against their reference implementations' numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from service.editing.architectures import down_projection_of, weight_of
from service.editing.hidden_targets import FactRequest, TargetHyperparameters
from service.editing.hook_layer import HookLayers, z_scores
from service.editing.locate import FactTarget, Hooked, LocateEditor, LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.positions import subject_last
from service.editing.subject_states import SubjectText, token_inputs
from service.editing.tokens import prompt_ids, target_ids
from tests.editing.reference import (
    close,
    expected,
    model,
    needed,
    second_moments,
    tokenizer,
    vectors,
)

pytestmark = needed
FROM_STORED_TARGETS = 1e-4
FROM_OUR_TARGETS = 2e-2
LOGITS = 1e-3  # absolute


def text(content: str, subject: str) -> SubjectText:
    tokens = tuple(prompt_ids(tokenizer(), content))
    return SubjectText(tokens, subject_last(tokenizer(), content, subject))


def requests(start: int, end: int) -> list[FactRequest]:
    return [
        FactRequest(
            number,
            plain=text(record["prompt"], record["subject"]),
            contexts=tuple(
                tuple(text(t.replace("{}", record["prompt"]), record["subject"]) for t in group)
                for group in vectors()["context_templates"]
            ),
            essence=text(
                vectors()["kl_prompt"].replace("{}", record["subject"]), record["subject"]
            ),
            target=tuple(target_ids(tokenizer(), record["prompt"], record["target_new"])),
        )
        for number, record in enumerate(vectors()["requests"][start:end])
    ]


def editor(method: str, **changes: Any) -> LocateEditor:
    found = vectors()["hparams"]
    parameters = LocateHyperparameters(
        layers=tuple(vectors().get(method.replace("-", "_"), {}).get("layers", found["layers"])),
        second_moment_weight=found["mom2_update_weight"],
        ridge=vectors()["emmet"]["emmet_lambda"],
        alpha=vectors()["coachhook"]["alpha_init"],
        target=TargetHyperparameters(
            steps=found["v_num_grad_steps"],
            learning_rate=found["v_lr"],
            clamp_norm_factor=found["clamp_norm_factor"],
            kl_factor=found["kl_factor"],
            weight_decay=found["v_weight_decay"],
        ),
    )
    return LocateEditor(model(), METHODS[method], replace(parameters, **changes), second_moments())


def stored(wanted: Sequence[FactRequest], targets: Tensor) -> list[FactTarget]:
    return [FactTarget(r, target) for r, target in zip(wanted, targets, strict=True)]


def logits(state: HookLayers, prompt: str) -> Tensor:
    ids = torch.tensor([prompt_ids(tokenizer(), prompt)])
    pin = Hooked(model(), {n: (layer, state.gate) for n, layer in state.layers.items()})
    with torch.no_grad(), pin(torch.ones_like(ids, dtype=torch.bool)):
        found: Tensor = model()(input_ids=ids).logits[0, -1]
    return found


def at_the_gate(state: HookLayers, prompt: str) -> bool:
    """Whether some token's score is alpha but for rounding, which then decides. So it is with the
    prompt that alpha was taken from.
    """
    tokens = SubjectText(tuple(prompt_ids(tokenizer(), prompt)), 0)
    numbers = list(state.layers)
    modules = [down_projection_of(model(), number) for number in numbers]
    for number, (rows, present) in zip(
        numbers, token_inputs(model(), [tokens], modules), strict=True
    ):
        layer = state.layers[number]
        norms = torch.linalg.vector_norm(rows @ layer.delta.T, dim=2)
        if bool(((z_scores(norms, present) - layer.alpha).abs() < 1e-4).any()):
            return True
    return False


def prompts() -> list[str]:
    return [*(record["prompt"] for record in vectors()["requests"]), *vectors()["probes"]]


def test_base_logits() -> None:
    for i, prompt in enumerate(prompts()):
        base = logits(editor("memit").empty(), prompt)
        torch.testing.assert_close(base, expected()[f"base.logits.{i}"], atol=1e-4, rtol=0)


def test_memit_targets() -> None:
    memit = editor("memit")
    batch = requests(0, len(expected()["memit.z"]))
    found = torch.stack([target.target for target in memit.targets(memit.empty(), batch)])
    close(found, expected()["memit.z"], FROM_OUR_TARGETS)


def test_memit_deltas_and_logits() -> None:
    memit = editor("memit")
    batch = requests(0, len(expected()["memit.z"]))
    state = memit.insert(memit.empty(), stored(batch, expected()["memit.z"]))
    for number, layer in state.layers.items():
        wanted = expected()[f"memit.delta.layer.{number}"].T
        close(layer.delta, wanted, FROM_STORED_TARGETS)
    for i, prompt in enumerate(prompts()):
        wanted = expected()[f"memit.logits.{i}"]
        torch.testing.assert_close(logits(state, prompt), wanted, atol=LOGITS, rtol=0)


def test_emmet_deltas() -> None:
    emmet = editor("emmet")
    batch = requests(0, len(expected()["memit.z"]))
    state = emmet.insert(emmet.empty(), stored(batch, expected()["memit.z"]))
    for number, layer in state.layers.items():
        wanted = expected()[f"emmet.delta.layer.{number}"].T
        close(layer.delta, wanted, FROM_STORED_TARGETS)


@pytest.mark.parametrize("method", ["rome", "r-rome"])
def test_rome_deltas(method: str) -> None:
    (number,) = vectors()["rome"]["layers"]
    rome = editor(method, layers=(number,))
    state = rome.insert(rome.empty(), rome.targets(rome.empty(), requests(0, 1)))
    wanted = expected()[f"{method.replace('-', '_')}.delta.layer.{number}"].T
    close(state.layers[number].delta, wanted, FROM_OUR_TARGETS)


@pytest.mark.parametrize("own_targets", [False, True])
def test_coachhook_batch_after_batch(own_targets: bool) -> None:
    coachhook = editor("coachhook")
    size = vectors()["coachhook"]["batch_size"]
    tolerance = FROM_OUR_TARGETS if own_targets else FROM_STORED_TARGETS
    state = coachhook.empty()
    for batch, alphas in enumerate(vectors()["coachhook"]["alpha"]):
        part = requests(batch * size, (batch + 1) * size)
        z = expected()["coachhook.z"][batch * size : (batch + 1) * size]
        targets = stored(part, z)
        if own_targets:
            targets = coachhook.targets(state, part)
            close(torch.stack([target.target for target in targets]), z, FROM_OUR_TARGETS)
        state = coachhook.insert(state, targets)
        for number, layer in state.layers.items():
            name = f"coachhook.batch.{batch}"
            moment = second_moments()[number].double()
            base = weight_of(down_projection_of(model(), number))
            close(base + layer.delta, expected()[f"{name}.weight.layer.{number}"].T, tolerance)
            accumulated = layer.accumulated(len(moment), moment.device)
            accumulated += coachhook.hyperparameters.second_moment_weight * moment
            wanted = expected()[f"{name}.c_accu.layer.{number}"]
            close(accumulated.float(), wanted, tolerance)
            if not own_targets:
                assert layer.alpha == pytest.approx(alphas[str(number)], rel=1e-4)
        if not own_targets:
            clear = [i for i, prompt in enumerate(prompts()) if not at_the_gate(state, prompt)]
            assert len(clear) >= len(prompts()) - len(part)
            for i in clear:
                wanted = expected()[f"coachhook.batch.{batch}.logits.{i}"]
                found = logits(state, prompts()[i])
                torch.testing.assert_close(found, wanted, atol=LOGITS, rtol=0)
