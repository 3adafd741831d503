"""Subjects that a prompt names several times: what is optimised, averaged, inserted and kept."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from service.domain.edits import Correction
from service.editing import hidden_targets
from service.editing.accumulation import Accumulation
from service.editing.architectures import down_projection_of, layers_of
from service.editing.changes import decode, encode
from service.editing.facts import fact_request
from service.editing.gates import Gate, Tokens, z_scores
from service.editing.hidden_targets import optimise_shift
from service.editing.hook_layer import HookLayers
from service.editing.hooks_change import HooksChange
from service.editing.hyperparameters import hyperparameters_of
from service.editing.locate import LocateEditor
from service.editing.locate_hyperparameters import LocateHyperparameters, TargetHyperparameters
from service.editing.methods import METHODS
from service.editing.positions import Position
from service.editing.preset_files import bundled_preset
from service.editing.requests import EditRequest, FactRequest, FactTarget, SubjectText
from service.editing.splitting import Splitting
from service.editing.subject_states import subject_states, token_inputs
from service.editing.taps import after, hidden_of, with_hidden
from service.editing.tokens import prompt_ids
from service.engine.scoring import Continuation, score
from service.engine.shapes import shape_of
from tests.models import atlas, inserted
from tests.phrased import request_of, target_ids
from tests.tiny import VOCABULARY, WIDTH, tiny

LAYER = 1


def tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist())


def fact(number: int, length: int, *places: int) -> FactRequest:
    """The fact stands in two contexts."""
    *earlier, last = places
    plain = SubjectText(tokens(length, number), last, tuple(earlier))
    before = tokens(3, 40 + number)
    longer = SubjectText(
        (*before, *plain.tokens), last + len(before), tuple(p + len(before) for p in earlier)
    )
    essence = SubjectText(tokens(4, 60 + number), 1)
    return FactRequest(number, plain, ((plain,), (longer,)), essence, tokens(2, 80 + number))


FACTS = [fact(1, 9, 2, 5, 7), fact(2, 6, 3), fact(3, 12, 1, 9)]


def direct_loss(model: Any, request: FactRequest, shift: Tensor) -> float:
    """The target's mean NLL over the contexts, each run as a whole."""
    losses = []
    for text in (text for group in request.contexts for text in group):

        def shifted(_: Any, output: Any, text: SubjectText = text) -> Any:
            hidden = hidden_of(output).clone()
            hidden[0, list(text.subjects)] += shift
            return with_hidden(output, hidden)

        ids = torch.tensor([[*text.tokens, *request.target]])
        with after({layers_of(model)[LAYER]: shifted}):
            logits = model(input_ids=ids).logits[0, len(text.tokens) - 1 : -1]
        losses.append(float(cross_entropy(logits, torch.tensor(request.target))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt"])
def test_what_is_optimised_is_the_loss_with_the_shift_at_every_place(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny(architecture)
    trials: list[Any] = []
    monkeypatch.setattr(hidden_targets, "descend", lambda _, trial, **__: trials.append(trial))
    alone = TargetHyperparameters(kl_factor=0.0, weight_decay=0.0)
    optimise_shift(model, LAYER, FACTS, torch.ones(len(FACTS)), alone, Splitting(10_000))
    (trial,) = trials
    shifts = torch.randn(len(FACTS), WIDTH, generator=torch.Generator().manual_seed(5))
    wanted = torch.tensor(
        [direct_loss(model, one, shift) for one, shift in zip(FACTS, shifts, strict=True)]
    )
    found = trial.losses(shifts).minimised
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for kept in ([1], [0, 2], [2]):  # the others have converged
        part = trial.part(torch.tensor(kept))
        found = part.losses(shifts[kept]).minimised
        torch.testing.assert_close(found, wanted[kept], atol=1e-5, rtol=1e-5)


def test_keys_are_averaged_over_the_places_and_states_are_the_last_ones() -> None:
    model = tiny("gpt2")
    module = down_projection_of(model, LAYER)
    (states,) = subject_states(model, [f.plain for f in FACTS], [module], Splitting())
    singly = [
        subject_states(model, [SubjectText(f.plain.tokens, place)], [module], Splitting())[0]
        for f in FACTS
        for place in f.plain.subjects
    ]
    inputs = torch.cat([one.inputs for one in singly])
    outputs = torch.cat([one.outputs for one in singly])
    means = torch.stack([inputs[:3].mean(dim=0), inputs[3], inputs[4:].mean(dim=0)])
    torch.testing.assert_close(states.inputs, means, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(states.outputs, outputs[[2, 3, 5]], atol=1e-6, rtol=1e-6)


def editor_of(model: PreTrainedModel, method: str) -> LocateEditor:
    accumulation = Accumulation.empty((LAYER,))
    accumulation.add(model, [tokens(40, seed) for seed in range(8)])
    parameters = LocateHyperparameters(
        layers=(LAYER,), second_moment_weight=10.0, steps=4, alpha=9.0
    )
    return LocateEditor(model, METHODS[method], parameters, accumulation.statistics("random"))


def edited(editor: LocateEditor) -> tuple[HookLayers, list[FactTarget]]:
    requests = [request_of(f.edit_id, (f.plain.tokens,), (f.target,), fact=f) for f in FACTS]
    targets, errors = editor.targets(None, requests)
    assert not errors
    return inserted(editor, None, targets), targets


@pytest.mark.parametrize("method", ["memit", "rome"])
@pytest.mark.parametrize("architecture", ["gpt2", "gemma2"])
def test_a_replay_from_the_log_is_exact(architecture: str, method: str) -> None:
    model = tiny(architecture)
    editor = editor_of(model, method)
    state, targets = edited(editor)
    content = encode(editor.change(None, state, targets))
    read = decode(content, shape_of(model.config, model.dtype))
    assert isinstance(read, HooksChange)
    assert [target.request for target in read.targets] == FACTS
    assert inserted(editor, None, read.targets).checksum == state.checksum


def test_the_gate_of_a_text_opens_at_every_place() -> None:
    model = tiny("gpt2")
    layer = edited(editor_of(model, "coachhook"))[0].layers[LAYER]
    module = down_projection_of(model, LAYER)
    lowest = []
    for text in (one.plain for one in FACTS):
        (found,) = token_inputs(model, [text], [module])
        norms = torch.linalg.vector_norm(found.inputs @ layer.delta.T, dim=2)
        scores = z_scores(norms, Tokens.whole(found.present), LAYER)[0]
        places = scores[list(text.subjects)]
        lowest.append(float(places[places > 0].min() if text.earlier else scores.max()))
        assert int((places > layer.alpha).sum()) == len(text.subjects)
    assert layer.alpha == pytest.approx(min(lowest), abs=1e-4)


def test_artifacts_hold_several_places_only_where_there_are_some() -> None:
    state = torch.ones(WIDTH)
    once, often = FactTarget(FACTS[1], state), FactTarget(FACTS[2], state)
    none = HooksChange(Gate.ALWAYS, {}, (once,)).tensors()
    assert not any("earlier" in name for name in none)  # read and written as ever
    tensors = HooksChange(Gate.ALWAYS, {}, (once, often)).tensors()
    # One that does not know of them finds the last place where it always found the only one.
    header = HooksChange(Gate.ALWAYS, {}, ()).header()
    known = {name: tensor for name, tensor in tensors.items() if "earlier" not in name}
    model = tiny("gpt2")
    shape = shape_of(model.config, model.dtype)
    read = [target.request.plain for target in HooksChange.read(header, known, shape).targets]
    assert read == [FACTS[1].plain, replace(FACTS[2].plain, earlier=())]


# Names its subject three times.
SENTENCE = "Now {0}. Of {0}, as everybody knows: The currency of {0} is the"


def likelihoods(count: int) -> tuple[float, float]:
    """Returns the target's likelihood with the first `count` places taken: after the edit's own
    prompt, and after one that names the subject once. Both are means over some
    edits, all in one batch.
    """
    loaded, name = atlas(), "memit"
    parameters = hyperparameters_of(loaded.model, name, bundled_preset("atlas").of(name))
    assert isinstance(parameters, LocateHyperparameters)
    accumulation = Accumulation.empty(parameters.layers)
    prompts = [str(edit["prompt"]) for edit in read_edits(EDITS_FILE)[:200]]
    accumulation.add(loaded.model, [prompt_ids(loaded.tokenizer, prompt) for prompt in prompts])
    statistics = {
        # So few keys do not span the whole space.
        number: replace(one, second_moment=one.second_moment + 0.01 * torch.eye(one.keys.shape[1]))
        for number, one in accumulation.statistics("prompts").items()
    }
    editor = LocateEditor(loaded.model, METHODS[name], parameters, statistics)
    requests: list[EditRequest] = []
    once: list[Continuation] = []
    for number, subject in enumerate(("Chad", "Peru", "Bulgaria")):
        correction = Correction(SENTENCE.format(subject), "euro", name, subject)
        target = target_ids(loaded.tokenizer, correction.prompt, "euro")
        request = fact_request(
            loaded.tokenizer, number, correction, target, [["{}"]], Position.LAST
        )
        assert len(request.plain.subjects) == 3
        places = request.plain.subjects[:count]
        plain = SubjectText(request.plain.tokens, places[-1], places[:-1])
        request = replace(request, plain=plain, contexts=((plain,),))
        requests.append(request_of(number, (plain.tokens,), (request.target,), fact=request))
        prompt = f"The currency of {subject} is the"
        once.append(Continuation(prompt_ids(loaded.tokenizer, prompt), request.target))
    targets, errors = editor.targets(None, requests)
    assert not errors
    state = inserted(editor, None, targets)
    own = [Continuation(one.given[0].prompt, one.given[0].target) for one in requests]

    def mean(asked: list[Continuation]) -> float:
        scores = score(loaded.model, state, asked)
        return sum(math.exp(one.logprob) for one in scores) / len(scores)

    return mean(own), mean(once)


def test_an_edit_holds_and_carries_over_with_all_places_taken() -> None:
    own, once = likelihoods(3)
    own_of_first, once_of_first = likelihoods(1)
    assert own > 0.95
    assert own_of_first < 0.8
    assert once > 1.5 * once_of_first
