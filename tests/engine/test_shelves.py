"""Versions that share a pass share a shelf, and what is looked up there."""

import gc
from contextlib import nullcontext
from unittest.mock import Mock
from weakref import ref

import pytest
import torch

from service.domain.pulse import Pulse
from service.editing.codebook import Codebook, Replacement, Rows
from service.editing.nearest import nearest
from service.engine.generation import Generator
from service.engine.hits import Hits
from service.engine.paged import PagedBatch
from service.engine.running import Wanted
from service.engine.shelves import Shelves
from tests.engine.asking import say
from tests.engine.overlays import codebook, loaded, tokens

LLAMA = loaded("llama")


def versions(replacement: Replacement) -> list[Codebook]:
    """Three on one shelf, each with one entry more than the one before and another first value."""
    shelves = Shelves(LLAMA.model.dtype, LLAMA.device)
    whole = codebook(LLAMA, replacement, tokens(24, 99))
    assert whole.site is not None
    found = []
    for count in (4, 5, 6):
        rows = whole.rows(range(count))
        rows.values[0] *= count
        found.append(shelves.place(Codebook.empty().with_rows(whole.site, rows)))
    return found


@pytest.mark.parametrize("replacement", Replacement)
def test_a_pass_looks_all_versions_up_at_once(
    replacement: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlays = (None, *versions(replacement))
    asked = [Wanted(tokens(9, seed), overlay, 6) for seed in range(4) for overlay in overlays]
    made = Generator(
        lambda: PagedBatch(LLAMA.model, 256, 1_024, Hits()),
        nullcontext,
        LLAMA.tokenizer,
        frozenset(),
        99,
        Pulse(),
    )
    alone = [say(made, one)[0].choices for one in asked]
    look_ups = Mock(side_effect=nearest)
    monkeypatch.setattr("service.editing.shelf.nearest", look_ups)
    passes = Mock(return_value=None)
    hook = LLAMA.model.register_forward_hook(passes)
    together = say(made, *asked)
    hook.remove()
    made.stop()
    assert [generation.choices for generation in together] == alone
    assert len(set(map(str, alone))) > 4  # versions do not say the same
    # Nothing but prompts' last tokens is looked up for `replace_prompt`.
    once = replacement is Replacement.PROMPT
    assert look_ups.call_count == (1 if once else passes.call_count)


def test_a_shelf_goes_with_its_last_codebook() -> None:
    shelves = Shelves(torch.float32, torch.device("cpu"))
    whole = codebook(LLAMA, Replacement.LAST, tokens(24, 99))
    one, other = shelves.place(whole), shelves.place(whole)
    assert one.held is not None
    assert other.held is not None
    store = ref(one.held.place.store)
    assert other.held.place.store is store()
    del one
    gc.collect()
    assert store() is not None
    del other
    gc.collect()
    assert store() is None


def test_shelves_are_the_sites_own() -> None:
    shelves = Shelves(torch.float32, torch.device("cpu"))
    width = LLAMA.model.config.hidden_size
    row = Rows((0,), torch.zeros(1, width), torch.ones(1, width), torch.ones(1), ((1,),), (1,))
    sites = [codebook(LLAMA, kind, tokens(24, 99)).site for kind in Replacement]
    books = [shelves.place(Codebook.empty().with_rows(s, row)) for s in sites if s is not None]
    stores = {book.held.place.store for book in books if book.held is not None}
    assert len(stores) == len(Replacement)
