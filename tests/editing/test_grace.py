"""GRACE on the bundled model."""

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from service.atlas import EDITS_FILE
from service.atlas.edits import read_edits
from service.domain.edits import Correction, EditFormat, Format
from service.editing.codebook import Codebook, Replacement, Scope
from service.editing.grace import Grace, Keyed
from service.editing.requests import EditRequest, Neighbor, Phrasing
from service.editing.tokens import prompt_ids
from service.engine.scoring import Continuation
from service.operations.wording import Pair, Wording
from tests.models import atlas, atlas_engine, atlas_grace, inserted
from tests.phrased import request_of
from tests.templates import CHATML

PRESET = atlas_grace()


def request(number: int, target: str, *prompts: str) -> EditRequest:
    pairs = Wording(atlas_engine()).continuations([Pair(prompt, target) for prompt in prompts])
    return request_of(number, [pair.prompt for pair in pairs], [pair.target for pair in pairs])


def edited(*requests: EditRequest, **changes: Any) -> Codebook:
    editor = Grace(atlas().model, replace(PRESET, **changes))
    targets, errors = editor.targets(None, requests)
    assert not errors
    return inserted(editor, None, targets)


def reached(codebook: Codebook, *requests: EditRequest) -> list[bool]:
    continuations = [Continuation(p.prompt, p.target) for one in requests for p in one.phrasings]
    return [s.greedy for s in atlas_engine().score(atlas_engine().place(codebook), continuations)]


MIXED = (
    request(1, "euro", "The currency of Bulgaria is the"),
    request(2, "Port Moresby", "Q: What is the capital of Bosnia and Herzegovina? A:"),
    request(3, "Haitian Creole", "Schools in Peru teach in"),
    request(4, "+99", "To phone Chad, dial"),
)


def test_a_batch_reaches_targets_of_any_length() -> None:
    assert all(reached(edited(*MIXED), *MIXED))


def test_an_edits_result_does_not_depend_on_its_batch() -> None:
    """Neither on its neighbours nor on the padding that they bring; over few steps, since Adam
    makes rounding grow.
    """
    together = edited(*MIXED, steps=5)
    alone = [edited(one, steps=5) for one in MIXED]
    keys = torch.cat([codebook.keys for codebook in alone])
    values = torch.cat([codebook.values for codebook in alone])
    torch.testing.assert_close(together.keys, keys, atol=1e-4, rtol=0)
    torch.testing.assert_close(together.values, values, atol=1e-2, rtol=0)


@pytest.mark.parametrize("replacement", list(Replacement))
def test_every_replacement_reaches_its_target(replacement: Replacement) -> None:
    one = MIXED[0]
    assert all(reached(edited(one, replacement=replacement), one))


def test_paraphrases_are_further_keys_of_the_same_values() -> None:
    one = request(
        1,
        "Port Moresby",
        "The capital of Bulgaria is",
        "Q: What is the capital of Bulgaria? A:",
        "In Bulgaria, the capital is",
    )
    codebook = edited(one, radius=0.5)
    tokens = len(one.phrasings[0].target)
    assert len(codebook) == 3 * tokens
    assert torch.equal(codebook.values[:tokens], codebook.values[tokens : 2 * tokens])
    assert all(reached(codebook, one))


def test_one_entry_keyed_by_the_prompt_alone() -> None:
    codebook = edited(MIXED[1], keyed=Keyed.PROMPT)
    assert (len(codebook), codebook.labels) == (1, (MIXED[1].phrasings[0].target,))


def test_an_edit_like_one_before_it_starts_at_its_value_and_is_done() -> None:
    editor = Grace(atlas().model, PRESET)
    first, _ = editor.targets(None, MIXED[:1])
    codebook = inserted(editor, None, first)
    again, _ = editor.targets(codebook, [replace(MIXED[0], edit_id=9)])
    assert torch.equal(again[0].values, first[0].values)
    assert len(inserted(editor, codebook, again)) == len(codebook)


def test_batch_mates_that_share_an_entry_are_optimised_one_after_the_other() -> None:
    """As the reference does edit by edit: the second starts where the first ended."""
    twins = (MIXED[0], replace(MIXED[0], edit_id=9))
    targets, _ = Grace(atlas().model, PRESET).targets(None, twins)
    assert torch.equal(targets[0].values, targets[1].values)


def test_a_value_that_is_not_finite_fails_its_edit_alone() -> None:
    editor = Grace(atlas().model, replace(PRESET, learning_rate=float("inf")))
    done, errors = editor.targets(None, MIXED[:1])
    assert (done, [error.edit_id for error in errors]) == ([], [1])


def test_edits_stay_apart_over_a_history_of_batches() -> None:
    """The figures of the README, on fewer edits: 128 in batches of 32, all checked at the end."""
    records = read_edits(EDITS_FILE)[:128]
    requests = [request(n, r["target_new"], r["prompt"]) for n, r in enumerate(records)]
    editor = Grace(atlas().model, PRESET)
    codebook: Codebook | None = None
    for start, end in pairwise(range(0, 129, 32)):
        targets, _ = editor.targets(codebook, requests[start:end])
        codebook = inserted(editor, codebook, targets)
    assert codebook is not None
    kept = reached(codebook, *requests)
    neighbors = [request(0, n["answer"], n["prompt"]) for r in records for n in r["neighborhood"]]
    unchanged = reached(codebook, *neighbors)
    assert sum(kept) / len(kept) >= 0.99
    assert sum(unchanged) / len(unchanged) >= 0.99


def test_no_key_reaches_a_neighbour_of_its_edit() -> None:
    one = request(1, "euro", "The currency of Bulgaria is the", "In Bulgaria they pay with the")
    tokens = [request(0, "x", f"The currency of {name} is the") for name in ("Serbia", "Chad")]
    beside = tuple(Neighbor(r.phrasings[0].prompt, n, Format.PLAIN) for n, r in enumerate(tokens))
    wide = {"radius": 1e3}
    free, bound = edited(one, **wide), edited(replace(one, neighborhood=beside), **wide)
    assert free.radii.tolist() == [1e3] * len(free)
    neighbors = Grace(atlas().model, PRESET).keys([neighbor.prompt for neighbor in beside])
    assert bool(free.look_up(neighbors).fires.all())
    assert not bool(bound.look_up(neighbors).fires.any())
    assert bool(bound.look_up(bound.keys).fires.all())
    assert all(reached(bound, one))


def test_a_neighbour_that_is_met_where_a_phrasing_is_ends_the_edit() -> None:
    one = MIXED[0]
    twin = Neighbor(one.phrasings[0].prompt, 0, Format.PLAIN)
    done, errors = Grace(atlas().model, PRESET).targets(
        None, [replace(one, neighborhood=(twin,)), MIXED[1]]
    )
    assert [target.edit_id for target in done] == [MIXED[1].edit_id]
    assert [error.edit_id for error in errors] == [one.edit_id]
    assert "a neighborhood prompt is met where prompt is" in errors[0].reason
    assert "0.0000 apart" in errors[0].reason


def test_a_chats_question_has_a_key_in_each_conversation() -> None:
    tokenizer = copy.deepcopy(atlas().tokenizer)
    tokenizer.chat_template = CHATML
    asked = Correction("What do they pay with in Chad?", "euro", "grace", format=EditFormat.BOTH)
    given = [
        Phrasing(prompt_ids(tokenizer, asked.prompt, form), (5,), form=form) for form in Format
    ]
    found = Grace(atlas().model, PRESET).request(tokenizer, 1, asked, given)
    assert found.given == tuple(given)
    more = [str(tokenizer.decode(list(p.prompt))) for p in found.phrasings if not p.given]
    assert len(more) == 2
    assert all(asked.prompt in text for text in more)
    assert more[0].startswith("<|im_start|>system")
    assert more[1].count("<|im_start|>") == 4
    paper = Grace(atlas().model, replace(PRESET, scope=Scope.PAPER))
    assert paper.request(tokenizer, 1, asked, given).phrasings == tuple(given)
