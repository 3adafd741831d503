"""What a change of the active batches does to single edits."""

from service.domain.effects import Effect, Members, effect_of
from service.domain.versions import ActiveBatch

MEMBERS = {1: (10, 11), 2: (20, 21, 22)}
ONE, TWO = ActiveBatch(1), ActiveBatch(2)
LACKING = ActiveBatch(2, frozenset({21}))


def test_a_batch_goes_and_comes_with_its_edits() -> None:
    both = Members((2,), (20, 21, 22))
    assert effect_of((ONE, TWO), (ONE,), MEMBERS) == Effect(rolled_back=both)
    assert effect_of((ONE,), (ONE, TWO), MEMBERS) == Effect(restored=both)


def test_an_edit_goes_and_comes_alone() -> None:
    one = Members((), (21,))
    assert effect_of((TWO,), (LACKING,), MEMBERS) == Effect(rolled_back=one, one_by_one=(21,))
    assert effect_of((LACKING,), (TWO,), MEMBERS) == Effect(restored=one, one_by_one=(21,))


def test_edits_that_are_out_already_do_not_go_again() -> None:
    assert effect_of((LACKING,), (), MEMBERS) == Effect(rolled_back=Members((2,), (20, 22)))


def test_a_batch_may_come_back_without_an_edit() -> None:
    assert effect_of((), (LACKING,), MEMBERS) == Effect(restored=Members((2,), (20, 22)))


def test_one_edit_goes_and_another_comes() -> None:
    other = ActiveBatch(2, frozenset({20}))
    assert effect_of((LACKING,), (other,), MEMBERS) == Effect(
        Members((), (20,)), Members((), (21,)), (20, 21)
    )


def test_another_order_changes_no_state() -> None:
    assert effect_of((ONE, TWO), (TWO, ONE), MEMBERS) == Effect()
