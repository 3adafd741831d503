"""Overlays act on the pinned pass alone, and an empty one not at all."""

import threading
from typing import cast

import torch

from service.editing.codebook import Codebook, Replacement, Rows, Site
from service.editing.gates import Tokens
from service.editing.overlays import Overlay
from service.engine.overlay import answer, pinned
from tests.models import atlas, atlas_engine

PROMPT = "The currency of Bulgaria is the"


def everything_fires(site: Site, value: float) -> Codebook:
    """One entry whose radius reaches every query."""
    width = atlas().model.config.hidden_size
    rows = Rows(
        (0,),
        torch.zeros(1, width),
        torch.full((1, width), value),
        torch.tensor([1e9]),
        ((1,),),
        (1,),
    )
    return Codebook.empty().with_rows(site, rows)


def logits(overlay: Overlay | None) -> torch.Tensor:
    ids = torch.tensor([atlas_engine().prompt_tokens(PROMPT)])
    queries = torch.zeros_like(ids, dtype=torch.bool)
    queries[0, -1] = True
    with torch.inference_mode():
        if overlay is None:
            return cast("torch.Tensor", atlas().model(input_ids=ids).logits)
        with pinned(atlas().model, overlay, Tokens(torch.ones_like(queries), queries, {})):
            return cast("torch.Tensor", atlas().model(input_ids=ids).logits)


def test_without_an_overlay_logits_are_the_base_models_bit_for_bit() -> None:
    base = logits(None)
    overlay = atlas_engine().place(everything_fires(Site(5, "mlp", Replacement.LAST), 3.0))
    assert torch.equal(logits(Codebook.empty()), base)
    assert not torch.equal(logits(overlay), base)
    assert torch.equal(logits(None), base)


def test_only_the_query_token_changes() -> None:
    base = logits(None)
    overlay = atlas_engine().place(everything_fires(Site(5, "mlp", Replacement.LAST), 3.0))
    changed = (logits(overlay) != base).any(dim=-1)[0]
    assert changed.tolist() == [False] * (len(changed) - 1) + [True]


def test_each_thread_sees_what_it_pinned() -> None:
    """Forward passes of threads overlap on one model; their overlays must not."""
    overlay = atlas_engine().place(everything_fires(Site(5, "mlp", Replacement.LAST), 3.0))
    wanted = {None: logits(None), 3.0: logits(overlay)}
    right: list[bool] = []

    def work(value: float | None) -> None:
        right.extend(
            torch.equal(logits(overlay if value else None), wanted[value]) for _ in range(20)
        )

    threads = [threading.Thread(target=work, args=(value,)) for value in (None, 3.0, None, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80


def test_replacements_name_the_rows() -> None:
    """Two texts of 3 and 2 tokens; the query of the first fires."""
    rows = Rows((0,), torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([0.5]), ((1,),), (1,))
    inputs = torch.tensor([[[9.0], [9.0], [0.0]], [[9.0], [9.0], [9.0]]])
    queries = torch.tensor([[False, False, True], [False, True, False]])
    zeros = torch.zeros(2, 3, 1)
    replaced = {}
    for replacement in Replacement:
        codebook = Codebook.empty().with_rows(Site(0, "mlp", replacement), rows)
        outputs = answer(codebook, replacement, inputs, zeros, queries)
        replaced[replacement] = outputs[..., 0].tolist()
    nothing = [0.0, 0.0, 0.0]
    assert replaced == {
        Replacement.LAST: [[0.0, 0.0, 1.0], nothing],
        Replacement.PROMPT: [[1.0, 1.0, 0.0], nothing],
        Replacement.ALL: [[1.0, 1.0, 1.0], nothing],
    }
