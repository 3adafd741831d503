"""What the log says is active, and how much of an answer it already holds."""

from datetime import UTC, datetime

from service.domain.versions import Version, VersionKind, active_batches, replay_base

APPLY, ROLLBACK, RESTORE = VersionKind.APPLY, VersionKind.ROLLBACK, VersionKind.RESTORE


def log(*rows: tuple[VersionKind, tuple[int, ...], int, bool]) -> list[Version]:
    """Version 0 and `rows`: kind, batches, parent, and whether there is an artifact."""
    now = datetime.now(UTC)
    base = Version(0, VersionKind.BASE, (), None, None, "", "system", None, now)
    return [base] + [
        Version(number, kind, batches, parent, "a" if artifact else None, "", "x", None, now)
        for number, (kind, batches, parent, artifact) in enumerate(rows, 1)
    ]


THREE = [(APPLY, (1,), 0, True), (APPLY, (2,), 1, True), (APPLY, (3,), 2, True)]


def test_applies_append() -> None:
    assert active_batches(log(*THREE)) == [(), (1,), (1, 2), (1, 2, 3)]


def test_rollback_of_the_last_batch_finds_the_version_before_it() -> None:
    assert replay_base(log(*THREE), (1, 2)) == (2, ())


def test_rollback_in_the_middle_replays_what_came_later() -> None:
    assert replay_base(log(*THREE), (1, 3)) == (1, (3,))


def test_a_replayed_version_is_found_again() -> None:
    history = log(*THREE, (ROLLBACK, (2,), 1, True), (RESTORE, (2,), 4, True))
    assert active_batches(history)[4:] == [(1, 3), (1, 3, 2)]
    assert replay_base(history, (1, 3)) == (4, ())


def test_a_version_without_artifact_is_its_parent_again() -> None:
    """Rolling back to version 3 undoes the rollback of batch 2 too, in its old place."""
    history = log(*THREE, (ROLLBACK, (2,), 1, True), (ROLLBACK, (2,), 3, False))
    assert active_batches(history)[5] == (1, 2, 3)
