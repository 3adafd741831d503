"""Versions on a shelf answer as each by itself does, and share their rows."""

import gc
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from service.editing import nearest
from service.editing import shelf as shelves
from service.editing.codebook import Codebook, Replacement, Rows, Rule, Scope, Site, Target, look_up
from service.editing.shelf import Held, Match, Shelf
from service.errors import ConflictError

SITE = Site(3, "mlp", Replacement.LAST)
WIDTH = 256
CPU = torch.device("cpu")
OVERHEAD = 256  # bytes per entry


def random(*shape: int, seed: int) -> Tensor:
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.bfloat16().float()


def shelf(dtype: torch.dtype = torch.float32) -> Shelf:
    return Shelf(WIDTH, WIDTH, dtype, CPU)


def codebook(entries: int) -> Codebook:
    rows = Rows(
        tuple(range(entries)),
        random(entries, WIDTH, seed=1),
        random(entries, WIDTH, seed=2),
        torch.full((entries,), 12.0),
        tuple((number,) for number in range(entries)),
        tuple(range(entries)),
    )
    return Codebook.empty().with_rows(SITE, rows)


def edited(base: Codebook, seed: int, edits: int = 6) -> Codebook:
    """Adds entries, splits one's radius and gives one a new value."""
    keys = random(edits, WIDTH, seed=seed)
    keys[-2:] = (base.keys[:2] + 0.125).bfloat16().float()
    labels = [(10_000 * seed + n,) for n in range(edits - 1)] + [base.labels[1]]
    values = random(edits, WIDTH, seed=seed + 1_000)
    targets = [Target(n, keys[n, None], values[n, None], (labels[n],), (0,)) for n in range(edits)]
    return base.insert(SITE, targets, Rule(1.0, Scope.PAPER))


def history(base: Codebook, versions: int) -> list[Codebook]:
    books = [base]
    for seed in range(versions - 1):
        books.append(edited(books[-1], 50 + seed))
    return books


def held(book: Codebook) -> Held:
    assert book.held is not None
    return book.held


def size_of(*books: Codebook) -> int:
    """Bytes of all tensors that these stand on."""
    places = [held(book).place for book in books]
    stores = {place.store for place in places}
    tensors = [t for s in stores for t in (s.keys, s.values, s.squares)]
    tensors += [t for place in places for t in (place.entry_of, place.radii)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def same(one: Match, other: Match) -> bool:
    return (
        torch.equal(one.entry, other.entry)
        and torch.equal(one.distance, other.distance)
        and torch.equal(one.fires, other.fires)
        and torch.equal(one.values.float(), other.values.float())
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_versions_answer_in_one_product_as_each_by_itself(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = history(codebook(900), 5)
    some = shelf(dtype)
    # In an order in which later versions' rows come first.
    standing = [book.on(some) for book in reversed(books)][::-1]
    near = torch.cat([books[-1].keys[:4] + 0.0625, books[-1].keys[-4:]])
    queries = [torch.cat([near, random(9, WIDTH, seed=n)]).to(dtype) for n in range(5)]
    products = Mock(side_effect=nearest.product_of)
    monkeypatch.setattr(nearest, "product_of", products)
    together = look_up(list(zip(standing, queries, strict=True)))
    assert products.call_count == 1
    for book, asked, match in zip(books, queries, together, strict=True):
        assert same(match, book.look_up(asked))
        assert match.fires.any()
        assert not match.fires.all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_entry_costs_its_key_its_value_and_little_more(dtype: torch.dtype) -> None:
    some = shelf(dtype)
    row = 2 * WIDTH * dtype.itemsize
    standing: list[Codebook] = []
    for number, book in enumerate(history(codebook(2_000), 9)):
        standing.append(book.on(some))
        assert size_of(*standing) <= (len(book) + number) * (row + OVERHEAD)


def test_a_new_version_copies_no_more_than_its_rows() -> None:
    some = shelf()
    old = codebook(2_000)
    standing = [old.on(some)]
    keys = held(standing[0]).place.store.keys
    standing.append(edited(old, 50).on(some))
    store = held(standing[1]).place.store
    assert held(standing[0]).place.store is store
    assert store.keys is keys
    # Those of its added entries, and the old and the new row of the one with another value. The
    # one with another radius keeps its row.
    index = [held(book).place.entry_of for book in standing]
    changed = (index[0] != index[1]).sum()
    assert changed == len(standing[1]) - len(old) + 2


def test_memory_that_ends_while_rows_move_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = shelf()
    small, large = codebook(100), codebook(2_000)
    standing = [small.on(some), edited(small, 60).on(some)]
    asked = random(20, WIDTH, seed=7)
    expected = [book.look_up(asked) for book in standing]
    moved = shelves._moved
    with monkeypatch.context() as patch:
        # Keys, values and squares have moved, and one version's place.
        left, failing = iter([moved] * 4), Mock(side_effect=torch.OutOfMemoryError)
        patch.setattr(shelves, "_moved", lambda *given: next(left, failing)(*given))
        with pytest.raises(torch.OutOfMemoryError):
            large.on(some)
    standing.append(large.on(some))
    expected.append(large.look_up(asked))
    found = [book.look_up(asked) for book in standing]
    assert all(same(*pair) for pair in zip(found, expected, strict=True))


def test_rows_of_versions_that_are_gone_are_given_back_or_used_again() -> None:
    some = shelf()
    whole = codebook(2_000)
    small = Codebook.empty().with_rows(SITE, whole.rows(range(500)))
    kept, large = small.on(some), whole.on(some)
    assert 2_000 <= len(held(kept).place.store.keys) < 2_100
    asked = random(20, WIDTH, seed=7)
    expected = kept.look_up(asked)
    del large
    gc.collect()
    again = edited(small, 60).on(some)
    assert held(again).place.store is held(kept).place.store
    assert len(held(kept).place.store.keys) < 550
    assert same(kept.look_up(asked), expected)
    before = len(held(kept).place.store.keys)
    del again
    gc.collect()
    other = edited(small, 70).on(some)
    assert len(held(other).place.store.keys) == before


def test_twins_are_one_row_and_the_first_of_them_answers() -> None:
    base = codebook(600)
    rows = base.rows([5, 7])
    rows.radii[1] = 0.0
    twins = base.with_rows(SITE, Rows((600, 601), *list(vars(rows).values())[1:]))
    standing = twins.on(shelf())
    match = standing.look_up(twins.keys[[600, 601]])
    assert match.entry.tolist() == [5, 7]
    assert match.fires.tolist() == [True, True]


def test_keys_of_another_dtype_are_refused() -> None:
    book = codebook(3)
    rows = book.rows([0])
    rows.keys[0, 0] = 1 + 2**-20
    book.with_rows(SITE, rows).on(shelf())
    with pytest.raises(ConflictError, match="bfloat16"):
        book.with_rows(SITE, rows).on(shelf(torch.bfloat16))


def test_answers_hold_while_rows_move() -> None:
    some = shelf()
    base = codebook(700)
    standing = base.on(some)
    asked = base.keys[::50] + 0.0625
    expected = standing.look_up(asked)

    def publish(seed: int) -> None:
        for number in range(15):
            edited(base, seed + number, edits=40).on(some)

    with ThreadPoolExecutor(2) as threads:
        publishing = [threads.submit(publish, seed) for seed in (100, 200)]
        while not all(one.done() for one in publishing):
            assert same(standing.look_up(asked), expected)
    for one in publishing:
        one.result()
