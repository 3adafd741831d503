"""An entity book by its rule: nearest of its subject, later over earlier, exact however it grew."""

import pytest
import torch

from service.editing.entity.asking import Junction
from service.editing.entity.book import EntityBook
from service.editing.entity.insertion import insert
from tests.editing.entity.made import NOISE, apart, book, found, owner, target

BOTH = (Junction.BARE, Junction.CHAT)


def test_an_entry_answers_its_subject_within_its_radius() -> None:
    state = book(target(1, "france", 0), target(2, "spain", 90))
    assert owner(state, 30, "france") == 1
    assert owner(state, 89, "france") is None
    assert owner(state, 89, "france", "spain") == 2
    assert owner(state, 0, "italy") is None
    match = found(state, 30, "france")
    assert match is not None
    assert match.distance == pytest.approx(apart(30), abs=1e-6)


def test_a_question_of_the_models_own_must_lie_nearer() -> None:
    state = book(target(1, "france", 0))
    assert owner(state, 30, "france") == 1
    assert owner(state, 30, "france", decoded=True) is None
    assert owner(state, 10, "france", decoded=True) == 1


def test_of_two_relations_of_one_subject_the_nearer_answers() -> None:
    state = book(target(1, "france", 0), target(2, "france", 50))
    assert [owner(state, d, "france") for d in (-20, 20, 30, 70)] == [1, 1, 2, 2]


def test_an_entry_answers_only_where_its_answer_joins_on() -> None:
    state = book(target(1, "france", 0, labels=((7,), (8,)), junctions=BOTH))
    assert owner(state, 0, "france", junction=Junction.SPACED) is None
    bare, chat = (found(state, 0, "france", junction=junction) for junction in BOTH)
    assert bare is not None
    assert chat is not None
    assert [state.answers[m.answer].label for m in (bare, chat)] == [(7,), (8,)]


def test_a_correction_of_a_correction_takes_its_whole_reach() -> None:
    first = target(1, "france", 0, 20, 80)
    state = book(first, target(2, "france", 0))
    assert [owner(state, d, "france") for d in (0, 20, 80)] == [2, 2, 1]
    assert len(state) == 3


def test_a_correction_of_one_form_leaves_the_other() -> None:
    first = target(1, "france", 0, labels=((7,), (8,)), junctions=BOTH)
    second = target(2, "france", 0, labels=((9,),), junctions=(Junction.CHAT,))
    state = book(first, second)
    assert owner(state, 0, "france", junction=Junction.BARE) == 1
    assert owner(state, 0, "france", junction=Junction.CHAT) == 2


def test_two_phrasings_at_one_place_are_one_entry() -> None:
    state = book(target(1, "france", 0, 0.5))
    assert len(state) == 1


def test_batches_give_what_all_at_once_gives() -> None:
    targets = [target(n, ("france", "spain")[n % 2], 17 * n, 31 * n) for n in range(1, 20)]
    whole = book(*targets)
    state = EntityBook.empty()
    for start in range(0, len(targets), 4):
        state = insert(state, targets[start : start + 4], NOISE)
    assert state.checksum == whole.checksum
    assert book(*targets[:-1]).checksum != whole.checksum


def test_differences_rebuild_a_book() -> None:
    parent = book(target(1, "france", 0, 20))
    child = insert(parent, [target(2, "france", 0), target(3, "spain", 5)], NOISE)
    rows = child.difference(parent)
    assert rows.index == (0, 1, 2)  # both of edit 1 were taken over
    space = child.space
    assert space is not None
    assert parent.with_rows(space, rows).checksum == child.checksum
    assert torch.equal(child.value(1, 1), target(2, "france", 0).values[1])


def test_an_older_book_stays_as_it_was() -> None:
    parent = book(target(1, "france", 0))
    before = parent.checksum
    insert(parent, [target(2, "france", 0), target(3, "spain", 0)], NOISE)
    assert parent.checksum == before
    assert owner(parent, 0, "france") == 1
    assert owner(parent, 0, "spain") is None
