"""What the log says is active, and how much of an answer it already holds."""

import random
import tracemalloc
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


def listed(versions: list[Version]) -> list[Active]:
    found: list[Active] = []
    for active, unchanged in active_batches(versions, BATCH_OF):
        assert found or unchanged == 0
        assert not found or tuple(active[:unchanged]) == found[-1][:unchanged]
        found.append(tuple(active))
    return found


def active(*rows: Row) -> list[Active]:
    versions = log(*rows)
    found = listed(versions)
    for number in range(len(versions)):
        assert active_now(versions[: number + 1], BATCH_OF) == found[number]
    return found


def base(versions: list[Version], wanted: Active) -> tuple[int, Active]:
    return replay_base(versions, BATCH_OF, wanted)


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
    assert base(log(*THREE), batches(1, 2)) == (2, ())


def test_rollback_in_the_middle_replays_what_came_later() -> None:
    assert base(log(*THREE), batches(1, 3)) == (1, batches(3))


def test_a_replayed_version_is_found_again() -> None:
    rows: list[Row] = [*THREE, (ROLLBACK, (2,), 1, True), (RESTORE, (2,), 4, True)]
    assert active(*rows)[4:] == [batches(1, 3), batches(1, 3, 2)]
    assert base(log(*rows), batches(1, 3)) == (4, ())


def test_a_version_without_artifact_is_its_parent_again() -> None:
    """Rolling back to version 3 undoes the rollback of batch 2 too, in its old place."""
    history = active(*THREE, (ROLLBACK, (2,), 1, True), (ROLLBACK, (2,), 3, False))
    assert history[5] == batches(1, 2, 3)


def test_a_batch_that_lacks_an_edit_is_replayed_with_what_came_later() -> None:
    assert active(*LACKING)[4] == batches(1, (2, 21), 3)
    assert base(log(*THREE), batches(1, (2, 21), 3)) == (1, batches((2, 21), 3))


def test_each_edit_that_goes_is_missed() -> None:
    history = active(*LACKING, (ROLLBACK, 22, 1, True), (ROLLBACK, 30, 2, True))
    lacking = ActiveBatch(2, frozenset({21, 22}))
    assert history[5] == (ActiveBatch(1), lacking, ActiveBatch(3))
    assert history[6] == (ActiveBatch(1), lacking, ActiveBatch(3, frozenset({30})))


def test_what_lacks_an_edit_is_not_what_is_whole() -> None:
    assert base(log(*LACKING), batches(1, 2)) == (2, ())
    assert base(log(*LACKING), batches(1, (2, 21))) == (1, batches((2, 21)))
    assert base(log(*LACKING), batches(1, (2, 21), 3)) == (4, ())
    assert base(log(*LACKING), batches(1, (2, 22), 3)) == (1, batches((2, 22), 3))


def test_later_batches_build_on_one_that_lacks_an_edit() -> None:
    rows: list[Row] = [*LACKING, (APPLY, (4,), 4, True)]
    assert active(*rows)[5] == batches(1, (2, 21), 3, 4)
    assert base(log(*rows), batches(1, (2, 21), 3)) == (4, ())


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
    assert listed(versions)[5] == batches(1, 3)


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_beginning_is_found_in_any_history(seed: int) -> None:
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(1, 40):
        now = active(*rows)[-1]
        one = chance.choice(now).id if now else 0
        ways: list[Row] = [(APPLY, (number,), number - 1, True)]
        if now:
            ways.append((ROLLBACK, (one,), chance.randrange(number), chance.random() < 0.5))
        rows.append(chance.choice(ways))
    versions = log(*rows)
    found = listed(versions)
    for _ in range(20):
        wanted = chance.choice(found)
        wanted = tuple(batch for batch in wanted if chance.random() < 0.9)
        length, latest = max(
            (len(one), at) for at, one in enumerate(found) if wanted[: len(one)] == one
        )
        assert base(versions, wanted) == (latest, wanted[length:])


def test_a_long_history_takes_the_memory_of_its_last_version() -> None:
    rows: list[Row] = []
    for number in range(1, 5001):
        undo = number % 3 == 0  # of the version before
        rows.append(
            (ROLLBACK, (number - 1,), number - 2, False)
            if undo
            else (APPLY, (number,), number - 1, True)
        )
    versions = log(*rows)
    wanted = active_now(versions, {})[10:]
    tracemalloc.start()
    try:
        assert replay_base(versions, {}, wanted) == (0, wanted)
        assert tracemalloc.get_traced_memory()[1] < 3e6  # with a list for each version, 70 MB
    finally:
        tracemalloc.stop()
