"""A record says which edits fired, at which token and layer, and how near; hits are counted."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from service.editing.architectures import down_projection_of
from service.editing.codebook import Codebook, Replacement
from service.editing.gates import Gate
from service.editing.grace import Grace
from service.editing.hook_layer import HookLayer, HookLayers, Update
from service.editing.overlays import Overlay
from service.engine.engine import Engine
from service.engine.explaining import Firing
from service.engine.overlay import module_at
from service.engine.running import Generation, Wanted
from service.engine.scoring import Continuation
from tests.engine.asking import say
from tests.engine.overlays import EDITED, codebook, hooks, loaded, seen_at, tokens
from tests.models import atlas, atlas_engine, atlas_grace, inserted
from tests.phrased import request_of

PROMPT = "The currency of Bulgaria is the"
PARAPHRASE = "Q: What is the currency of Bulgaria? A: the"
OTHER = "The currency of Denmark is the"
TARGET = "Port Moresby"  # of several tokens
BULGARIA, PERU = 7, 12  # ids of edits
CLOSE = 1e-4


@cache
def grace() -> Codebook:
    """Two edits."""
    targets = {BULGARIA: (PROMPT, PARAPHRASE), PERU: ("Schools in Peru teach in",)}
    requests = []
    for edit, prompts in targets.items():
        pairs = [atlas_engine().continuation(prompt, TARGET) for prompt in prompts]
        every = [pair.prompt for pair in pairs], [pair.target for pair in pairs]
        requests.append(request_of(edit, *every))
    editor = Grace(atlas().model, atlas_grace())
    found, errors = editor.targets(None, requests)
    assert not errors
    placed = atlas_engine().place(inserted(editor, None, found))
    assert isinstance(placed, Codebook)
    return placed


def wanted(overlay: Overlay | None, prompt: str = PROMPT, *, explain: bool = True) -> Wanted:
    ids = atlas_engine().prompt_tokens(prompt)
    return Wanted(ids, overlay, 6, explain=explain)


def firings(generation: Generation) -> list[Firing]:
    assert generation.record is not None
    generation.record.attribute()
    return generation.record.firings


def nearest(book: Codebook, text: list[int], index: int) -> tuple[float, float, int]:
    """Distance, radius and owner of the entry nearest to a token of a text, by hand."""
    assert book.site is not None
    (key,) = seen_at(atlas(), module_at(atlas().model, book.site), text)[[index]]
    distances = (book.keys - key).square().sum(dim=1).sqrt()
    entry = int(distances.argmin())
    return float(distances[entry]), float(book.radii[entry]), book.owners[entry]


@pytest.mark.parametrize("prompt", [PROMPT, PARAPHRASE])
def test_every_token_that_an_edit_answers(prompt: str) -> None:
    asked = wanted(grace(), prompt)
    (found,) = say(atlas_engine(), asked)
    text = [*asked.prompt, *(choice.token for choice in found.choices)]
    target = atlas_engine().continuation(prompt, TARGET).target
    assert found.text.startswith(" Port Moresby")
    last = len(asked.prompt) - 1

    fired = firings(found)

    assert [one.index for one in fired] == list(range(last, last + len(target)))
    assert len(fired) == 2
    for one in fired:
        distance, radius, owner = nearest(grace(), text, one.index)
        assert (one.token, one.layer, one.fired) == (text[one.index], 4, True)
        assert one.edits == (owner,) == (BULGARIA,)
        assert one.distance == pytest.approx(distance, abs=CLOSE)
        assert one.radius == radius > distance
        assert (one.z_score, one.alpha) == (None, None)


def test_how_near_the_nearest_is_where_nothing_fires() -> None:
    asked = wanted(grace(), OTHER)
    (found,) = say(atlas_engine(), asked)
    assert found.text == " krone."

    (one,) = firings(found)

    distance, radius, owner = nearest(grace(), list(asked.prompt), len(asked.prompt) - 1)
    assert (one.index, one.fired, one.edits) == (len(asked.prompt) - 1, False, (owner,))
    assert one.distance == pytest.approx(distance, abs=CLOSE)
    assert one.radius == radius < distance


def test_nothing_at_the_base_model() -> None:
    (found,) = say(atlas_engine(), wanted(None))
    assert firings(found) == []


def test_nothing_is_recorded_unasked_and_the_answer_is_the_same() -> None:
    (plain,) = say(atlas_engine(), wanted(grace(), explain=False))
    (explained,) = say(atlas_engine(), wanted(grace()))
    assert plain.record is None
    assert replace(explained, record=None) == plain


def test_texts_of_a_batch_keep_to_themselves() -> None:
    """Some ask and some do not, under this codebook, another one and none."""
    mine, other = grace(), replacing(grace(), BULGARIA, 99)
    asked = [
        wanted(overlay, prompt, explain=explain)
        for overlay in (mine, other, None)
        for prompt in (PROMPT, OTHER, PARAPHRASE)
        for explain in (True, False)
    ]
    together = say(atlas_engine(), *asked)
    for one, found in zip(asked, together, strict=True):
        if not one.explain:
            assert found.record is None
            continue
        (alone,) = say(atlas_engine(), one)
        for here, there in zip(firings(found), firings(alone), strict=True):
            assert here.distance == pytest.approx(there.distance, abs=CLOSE)
            assert replace(here, distance=None) == replace(there, distance=None)
        edits = {edit for firing in firings(found) for edit in firing.edits if firing.fired}
        answered = one.overlay is not None and one.prompt != asked[2].prompt
        assert edits == ({BULGARIA if one.overlay is mine else 99} if answered else set())


def replacing(book: Codebook, old: int, new: int) -> Codebook:
    """The same entries under another owner."""
    assert book.site is not None
    rows = book.rows(range(len(book)))
    owners = tuple(new if owner == old else owner for owner in rows.owners)
    return Codebook.empty().with_rows(book.site, replace(rows, owners=owners))


def test_a_score_is_explained_as_a_text_is() -> None:
    engine = Engine(atlas())
    pairs = [engine.continuation(p, TARGET) for p in (OTHER, PARAPHRASE, PROMPT)]
    scores = engine.answer(grace(), pairs, explain=True)
    *_, of_text = say(engine, wanted(grace(), PARAPHRASE), wanted(grace()))

    away, _, near = (score.record.firings for score in scores if score.record is not None)

    assert (away[0].index, away[0].fired) == (len(pairs[0].prompt) - 1, False)
    # Of the target's last token nothing is asked.
    assert len(near) == len(pairs[2].target)
    for here, there in zip(near, firings(of_text), strict=False):
        assert here.distance == pytest.approx(there.distance, abs=CLOSE)
        assert replace(here, distance=None) == replace(there, distance=None)
    assert [replace(score, record=None) for score in scores] == engine.score(grace(), pairs)


def test_hits_are_counted_asked_or_not() -> None:
    engine = Engine(atlas())
    length = len(engine.continuation(PROMPT, TARGET).target)
    say(engine, wanted(grace()), wanted(grace(), OTHER), wanted(None), wanted(grace(), PARAPHRASE))
    assert [engine.hits.of(edit) for edit in (BULGARIA, PERU, 1, 10**9)] == [2 * length, 0, 0, 0]

    far = replacing(grace(), BULGARIA, 5_000)  # past the room that there is at first
    pairs = [engine.continuation(PROMPT, TARGET)]
    engine.answer(far, pairs, explain=False)
    engine.score(far, pairs)  # nobody asked: an edit is being tried
    say(engine, wanted(grace(), explain=False), wanted(far, explain=False))
    assert [engine.hits.of(edit) for edit in (BULGARIA, 5_000)] == [3 * length, 2 * length]


# Hook layers and other replacements, on tiny random models: paged and padded.
model_of = cache(loaded)
TEXT = tokens(12, 5)


def explained(model_type: str, overlay: Overlay) -> tuple[list[int], list[Firing]]:
    """Prompt and continuation but for its last token, which is not run; and what fired."""
    engine = Engine(model_of(model_type))
    crowd = [Wanted(tokens(n, n), overlay, 4) for n in (1, 5, 20)]
    *_, found = say(engine, *crowd, Wanted(TEXT, overlay, 6, explain=True))
    engine.stop()
    text = [*TEXT, *(choice.token for choice in found.choices)]
    return text[:-1], firings(found)


@pytest.mark.parametrize("model_type", ["llama", "gptj"])
def test_a_calibrated_gate(model_type: str) -> None:
    overlay = hooks(model_of(model_type), Gate.CALIBRATED, tokens(24, 99))
    text, fired = explained(model_type, overlay)

    first = EDITED[0]  # nothing before it is changed
    layer = overlay.layers[first]
    keys = seen_at(
        model_of(model_type), down_projection_of(model_of(model_type).model, first), text
    )
    scores = ((keys @ layer.delta.T).norm(dim=1) - layer.mean) / layer.deviation
    here = [one for one in fired if one.layer == first]
    assert [one.index for one in here] == (scores >= layer.alpha).nonzero()[:, 0].tolist()
    assert 0 < len(here) < len(text)
    for one in fired:
        assert one.alpha is not None
        assert one.z_score is not None
        assert one.z_score >= one.alpha == overlay.layers[one.layer].alpha
        assert one.token == text[one.index]
    assert [one.z_score for one in here] == pytest.approx(
        scores[scores >= layer.alpha].tolist(), abs=1e-3
    )


@pytest.mark.parametrize("model_type", ["llama", "gptj"])
def test_the_papers_gate(model_type: str) -> None:
    overlay = hooks(model_of(model_type), Gate.SEQUENCE, tokens(24, 99))
    text, fired = explained(model_type, overlay)

    layer = overlay.layers[EDITED[0]]
    projection = down_projection_of(model_of(model_type).model, EDITED[0])
    norms = (seen_at(model_of(model_type), projection, text) @ layer.delta.T).norm(dim=1)
    expected = {}
    for index in range(len(text)):
        seen = norms[: max(index + 1, len(TEXT))]
        score = float((norms[index] - seen.mean()) / seen.std())
        if score >= layer.alpha:
            expected[index] = score
    found = {one.index: one.z_score for one in fired if one.layer == EDITED[0]}
    assert found == pytest.approx(expected, abs=1e-3)
    assert found


def test_without_a_gate_the_largest_change_of_each_layer() -> None:
    model = model_of("llama")
    overlay = hooks(model, Gate.ALWAYS, TEXT)
    text, fired = explained("llama", overlay)

    assert [one.layer for one in sorted(fired, key=lambda one: one.layer)] == list(EDITED)
    first = next(one for one in fired if one.layer == EDITED[0])
    keys = seen_at(model, down_projection_of(model.model, EDITED[0]), text)
    changes = (keys @ overlay.layers[EDITED[0]].delta.T).norm(dim=1)
    assert first.index == int(changes.argmax())
    assert (first.z_score, first.alpha) == (None, None)


def test_a_firing_of_hook_layers_names_the_edit_with_the_largest_part() -> None:
    """Edit 3 answers to the direction of one token's key, edit 4 to that of another's."""
    model = model_of("llama")
    number = EDITED[0]
    keys = seen_at(model, down_projection_of(model.model, number), TEXT)
    one, other = 4, 9
    rights = torch.linalg.pinv(keys[[one, other]])  # [d_in, 2]: 1 at its own, 0 at the other
    left = torch.eye(32)[:, :2] * 3.0
    updates = tuple(
        Update(left[:, [i]], rights[:, [i]], keys[:0].T, keys[:0].T, (edit,))
        for i, edit in enumerate((3, 4))
    )
    overlay = HookLayers(
        Gate.CALIBRATED, {number: HookLayer(updates, alpha=2.99, mean=0.0, deviation=1.0)}
    )
    _, fired = explained("llama", overlay)
    named = {firing.index: firing.edits for firing in fired}
    assert (named[one], named[other]) == ((3,), (4,))


@pytest.mark.parametrize("replacement", list(Replacement))
@pytest.mark.parametrize("model_type", ["llama", "gptj"])
def test_every_replacement(model_type: str, replacement: Replacement) -> None:
    """All tokens are near an entry; `replace_prompt` asks for the prompt's last alone."""
    book = codebook(model_of(model_type), replacement, TEXT)
    rows = book.rows(range(len(book)))
    assert book.site is not None
    owners = tuple(2**40 + owner for owner in rows.owners)  # no room is made for those below
    every = replace(rows, radii=rows.radii + 1e6, owners=owners)
    overlay = Codebook.empty().with_rows(book.site, every)

    text, fired = explained(model_type, overlay)

    last = len(TEXT) - 1
    queries = [last] if replacement is Replacement.PROMPT else list(range(last, len(text)))
    assert [one.index for one in fired if one.fired] == queries

    engine = Engine(model_of(model_type))
    target = (*text[len(TEXT) :], 1)
    (score,) = engine.answer(overlay, [Continuation(TEXT, target)], explain=True)
    assert score.record is not None
    assert [(one.index, one.edits) for one in score.record.firings] == [
        (one.index, one.edits) for one in fired
    ]
    say(engine, Wanted(TEXT, overlay, 6))
    assert sum(engine.hits.of(owner) for owner in set(overlay.owners)) == 2 * len(queries)
    engine.stop()
