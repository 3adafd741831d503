"""What the log says is active, and how much of an answer it already holds."""

from datetime import UTC, datetime

import pytest

from service.domain.versions import (
    Active,
    ActiveBatch,
    Version,
    VersionKind,
    active_batches,
    active_now,
    replay_base,
)

APPLY, ROLLBACK, RESTORE = VersionKind.APPLY, VersionKind.ROLLBACK, VersionKind.RESTORE
Row = tuple[VersionKind, tuple[int, ...], int, bool] | tuple[VersionKind, int, int, bool]
BATCH_OF = {edit: edit // 10 for edit in range(10, 50)}  # batch 2 has the edits 20 to 29


def log(*rows: Row) -> list[Version]:
    """Version 0 and `rows`: kind, batches or one edit, parent, and whether there is an artifact."""
    moment = datetime.now(UTC)
    versions = [Version(0, VersionKind.BASE, (), None, None, "", "system", None, moment)]
    for number, (kind, what, parent, artifact) in enumerate(rows, 1):
        batches, edits = (what, ()) if isinstance(what, tuple) else ((), (what,))
        file = "a" if artifact else None
        versions.append(Version(number, kind, batches, parent, file, "", "x", None, moment, edits))
    return versions


def active(*rows: Row) -> list[Active]:
    versions = log(*rows)
    found = active_batches(versions, BATCH_OF)
    for number in range(len(versions)):
        assert active_now(versions[: number + 1], BATCH_OF) == found[number]
    return found


def batches(*given: int | tuple[int, int]) -> Active:
    """Whole ones by their id, and those that lack an edit by their id and that edit's."""
    return tuple(
        ActiveBatch(one) if isinstance(one, int) else ActiveBatch(one[0], frozenset({one[1]}))
        for one in given
    )


THREE: list[Row] = [(APPLY, (1,), 0, True), (APPLY, (2,), 1, True), (APPLY, (3,), 2, True)]
LACKING: list[Row] = [*THREE, (ROLLBACK, 21, 1, True)]


def test_applies_append() -> None:
    assert active(*THREE) == [(), batches(1), batches(1, 2), batches(1, 2, 3)]


def test_rollback_of_the_last_batch_finds_the_version_before_it() -> None:
    assert replay_base(active(*THREE), batches(1, 2)) == (2, ())


def test_rollback_in_the_middle_replays_what_came_later() -> None:
    assert replay_base(active(*THREE), batches(1, 3)) == (1, batches(3))


def test_a_replayed_version_is_found_again() -> None:
    history = active(*THREE, (ROLLBACK, (2,), 1, True), (RESTORE, (2,), 4, True))
    assert history[4:] == [batches(1, 3), batches(1, 3, 2)]
    assert replay_base(history, batches(1, 3)) == (4, ())


def test_a_version_without_artifact_is_its_parent_again() -> None:
    """Rolling back to version 3 undoes the rollback of batch 2 too, in its old place."""
    history = active(*THREE, (ROLLBACK, (2,), 1, True), (ROLLBACK, (2,), 3, False))
    assert history[5] == batches(1, 2, 3)


def test_a_batch_that_lacks_an_edit_is_replayed_with_what_came_later() -> None:
    assert active(*LACKING)[4] == batches(1, (2, 21), 3)
    assert replay_base(active(*THREE), batches(1, (2, 21), 3)) == (1, batches((2, 21), 3))


def test_each_edit_that_goes_is_missed() -> None:
    history = active(*LACKING, (ROLLBACK, 22, 1, True), (ROLLBACK, 30, 2, True))
    lacking = ActiveBatch(2, frozenset({21, 22}))
    assert history[5] == (ActiveBatch(1), lacking, ActiveBatch(3))
    assert history[6] == (ActiveBatch(1), lacking, ActiveBatch(3, frozenset({30})))


def test_what_lacks_an_edit_is_not_what_is_whole() -> None:
    assert replay_base(active(*LACKING), batches(1, 2)) == (2, ())
    assert replay_base(active(*LACKING), batches(1, (2, 21))) == (1, batches((2, 21)))
    assert replay_base(active(*LACKING), batches(1, (2, 21), 3)) == (4, ())
    assert replay_base(active(*LACKING), batches(1, (2, 22), 3)) == (1, batches((2, 22), 3))


def test_later_batches_build_on_one_that_lacks_an_edit() -> None:
    history = active(*LACKING, (APPLY, (4,), 4, True))
    assert history[5] == batches(1, (2, 21), 3, 4)
    assert replay_base(history, batches(1, (2, 21), 3)) == (4, ())


@pytest.mark.parametrize("found", [True, False])
def test_an_active_batch_is_made_whole_in_its_place(found: bool) -> None:
    row: Row = (RESTORE, 21, 3, False) if found else (RESTORE, 21, 4, True)
    assert active(*LACKING, row)[5] == batches(1, 2, 3)


def test_a_batch_comes_back_whole() -> None:
    gone: list[Row] = [*LACKING, (ROLLBACK, (2,), 1, True)]
    assert active(*gone)[5] == batches(1, 3)
    assert active(*gone, (RESTORE, (2,), 5, True))[6] == batches(1, 3, 2)


def test_the_last_edit_takes_its_batch_along() -> None:
    moment = datetime.now(UTC)
    versions = log(*LACKING)
    versions.append(Version(5, ROLLBACK, (2,), 1, "a", "", "x", None, moment, (22,)))
    assert active_batches(versions, BATCH_OF)[5] == batches(1, 3)
