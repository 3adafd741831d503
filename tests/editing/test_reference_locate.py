"""MEMIT, EMMET, ROME, R-ROME and CoachHook against their reference implementations' numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from service.editing.architectures import down_projection_of, weight_of
from service.editing.gates import Tokens, z_scores
from service.editing.hook_layer import HookLayers
from service.editing.hooked import Hooked
from service.editing.key_statistics import KeyStatistics
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters
from service.editing.methods import METHODS
from service.editing.moments import Moments
from service.editing.positions import Position, subject_token
from service.editing.requests import FactRequest, FactTarget, SubjectText
from service.editing.subject_states import token_inputs
from service.editing.tokens import prompt_ids, prompt_of
from tests.editing.reference import (
    close,
    expected,
    model,
    needed,
    second_moments,
    tokenizer,
    vectors,
)
from tests.models import inserted
from tests.phrased import request_of, target_ids

pytestmark = needed
FROM_STORED_TARGETS = 2e-5
FROM_OUR_TARGETS = 2e-2
LOGITS = 1e-3  # absolute


def text(content: str, subject: str) -> SubjectText:
    prompt = prompt_of(tokenizer(), content)
    position = Position(vectors()["hparams"]["fact_token"])
    return SubjectText(prompt.tokens, subject_token(prompt, subject, position))


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
            target=target_ids(tokenizer(), record["prompt"], record["target_new"]),
        )
        for number, record in enumerate(vectors()["requests"][start:end])
    ]


def editor(method: str, **changes: Any) -> LocateEditor:
    found = vectors()["hparams"]
    parameters = LocateHyperparameters(
        layers=tuple(vectors().get(method.replace("-", "_"), {}).get("layers", found["layers"])),
        second_moment_weight=found["mom2_update_weight"],
        position=Position(found["fact_token"]),
        ridge=vectors()["emmet"]["emmet_lambda"],
        alpha=vectors()["coachhook"]["alpha_init"],
        steps=found["v_num_grad_steps"],
        learning_rate=found["v_lr"],
        clamp_norm_factor=found["clamp_norm_factor"],
        kl_factor=found["kl_factor"],
        weight_decay=found["v_weight_decay"],
    )
    return LocateEditor(model(), METHODS[method], replace(parameters, **changes), statistics())


def optimised(
    editor: LocateEditor, state: HookLayers | None, facts: Sequence[FactRequest]
) -> list[FactTarget]:
    batch = [request_of(f.edit_id, [f.plain.tokens], [f.target], f) for f in facts]
    targets, errors = editor.targets(state, batch)
    assert not errors
    return targets


def statistics() -> dict[int, KeyStatistics]:
    return {
        number: KeyStatistics("reference", moment, moment[:0], 1)
        for number, moment in second_moments().items()
    }


def stored(wanted: Sequence[FactRequest], targets: Tensor) -> list[FactTarget]:
    return [FactTarget(r, target) for r, target in zip(wanted, targets, strict=True)]


def logits(state: HookLayers, prompt: str) -> Tensor:
    ids = torch.tensor([prompt_ids(tokenizer(), prompt)])
    pin = Hooked.by(model(), state)
    with torch.no_grad(), pin(torch.ones_like(ids, dtype=torch.bool)):
        found: Tensor = model()(input_ids=ids).logits[0, -1]
    return found


def change_of(name: str, number: int) -> Tensor:
    """[d_out, d_in], of a tensor that is kept as the model keeps its weight."""
    kept = expected()[f"{name}.layer.{number}"]
    return kept.T if isinstance(down_projection_of(model(), number), Conv1D) else kept


def at_the_gate(state: HookLayers, prompt: str) -> bool:
    """Whether some token's score is alpha but for rounding, which then decides. So it is with the
    prompt that alpha was taken from.
    """
    tokens = SubjectText(tuple(prompt_ids(tokenizer(), prompt)), 0)
    numbers = list(state.layers)
    modules = [down_projection_of(model(), number) for number in numbers]
    for number, found in zip(numbers, token_inputs(model(), [tokens], modules), strict=True):
        layer = state.layers[number]
        norms = torch.linalg.vector_norm(found.inputs @ layer.delta.T, dim=2)
        scores = z_scores(norms, Tokens.whole(found.present), number)
        if bool(((scores - layer.alpha).abs() < 1e-4).any()):
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
    found = torch.stack([target.state for target in optimised(memit, None, batch)])
    close(found, expected()["memit.z"], FROM_OUR_TARGETS)


def test_memit_deltas_and_logits() -> None:
    memit = editor("memit")
    batch = requests(0, len(expected()["memit.z"]))
    state = inserted(memit, None, stored(batch, expected()["memit.z"]))
    for number, layer in state.layers.items():
        close(layer.delta, change_of("memit.delta", number), FROM_STORED_TARGETS)
    for i, prompt in enumerate(prompts()):
        wanted = expected()[f"memit.logits.{i}"]
        torch.testing.assert_close(logits(state, prompt), wanted, atol=LOGITS, rtol=0)


def test_emmet_deltas() -> None:
    emmet = editor("emmet")
    batch = requests(0, len(expected()["memit.z"]))
    state = inserted(emmet, None, stored(batch, expected()["memit.z"]))
    for number, layer in state.layers.items():
        close(layer.delta, change_of("emmet.delta", number), FROM_STORED_TARGETS)


@pytest.mark.parametrize("method", ["rome", "r-rome"])
def test_rome_deltas(method: str) -> None:
    (number,) = vectors()["rome"]["layers"]
    rome = editor(method, layers=(number,))
    state = inserted(rome, None, optimised(rome, None, requests(0, 1)))
    wanted = change_of(f"{method.replace('-', '_')}.delta", number)
    close(state.layers[number].delta, wanted, FROM_OUR_TARGETS)


@pytest.mark.parametrize("own_targets", [False, True])
def test_coachhook_batch_after_batch(own_targets: bool) -> None:
    coachhook = editor("coachhook")
    size = vectors()["coachhook"]["batch_size"]
    moments = Moments(statistics(), coachhook.hyperparameters.second_moment_weight)
    tolerance = FROM_OUR_TARGETS if own_targets else FROM_STORED_TARGETS
    state: HookLayers | None = None
    for batch, alphas in enumerate(vectors()["coachhook"]["alpha"]):
        part = requests(batch * size, (batch + 1) * size)
        z = expected()["coachhook.z"][batch * size : (batch + 1) * size]
        targets = stored(part, z)
        if own_targets:
            targets = optimised(coachhook, state, part)
            close(torch.stack([target.state for target in targets]), z, FROM_OUR_TARGETS)
        state = inserted(coachhook, state, targets)
        for number, layer in state.layers.items():
            name = f"coachhook.batch.{batch}"
            base = weight_of(down_projection_of(model(), number))
            close(base + layer.delta, change_of(f"{name}.weight", number), tolerance)
            moment = moments.weighted(number, layer.updates, base.device)
            close(moment.float(), expected()[f"{name}.c_accu.layer.{number}"], tolerance)
            if not own_targets:
                assert layer.alpha == pytest.approx(alphas[str(number)], rel=tolerance)
        if not own_targets:
            clear = [i for i, prompt in enumerate(prompts()) if not at_the_gate(state, prompt)]
            assert len(clear) >= len(prompts()) - len(part)
            for i in clear:
                wanted = expected()[f"coachhook.batch.{batch}.logits.{i}"]
                found = logits(state, prompts()[i])
                torch.testing.assert_close(found, wanted, atol=LOGITS, rtol=0)
