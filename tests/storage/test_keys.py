"""Keys end, are put in each other's place and remember their use, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from service.domain.keys import ApiKey, KeyState, Scope
from service.errors import ConflictError
from service.storage import keys as storage_keys
from service.storage.database import Database, now
from service.storage.keys import KeyRing
from service.storage.tables import KeyEventRow

DAY = timedelta(days=1)


@pytest.fixture
def ring(database: Database) -> KeyRing:
    return KeyRing(database)


def changes(database: Database) -> list[tuple[int, str, str]]:
    with database.read() as session:
        rows = session.scalars(select(KeyEventRow).order_by(KeyEventRow.id))
        return [(row.key_id, row.change, row.actor) for row in rows]


def test_an_expired_key_is_none(ring: KeyRing) -> None:
    lasting = ring.add("a", Scope.EDIT, "one", expires_at=now() + DAY)
    over = ring.add("b", Scope.EDIT, "two", expires_at=now() - DAY)

    assert ring.find("one") == lasting
    assert ring.find("two") is None
    assert (ring.is_active(lasting.id), ring.is_active(over.id)) == (True, False)
    assert [key.state(now()) for key in ring.all()] == [KeyState.ACTIVE, KeyState.EXPIRED]
    ring.revoke(lasting.id, actor="me")
    assert not ring.any_active()


def test_of_first_keys_that_are_made_at_once_one_is_stored(ring: KeyRing) -> None:
    """As by servers that start at the same time; one that opens nothing any more is no key."""
    ring.add("b", Scope.EDIT, "over", expires_at=now() - DAY)
    at_once = threading.Barrier(4)

    def make(secret: str) -> ApiKey | None:
        at_once.wait()
        return ring.add_first("admin", Scope.ADMIN, secret)

    with ThreadPoolExecutor(4) as servers:
        made = [key for key in servers.map(make, "1234") if key is not None]
    assert len(made) == 1
    assert [key.id for key in ring.all() if key.scope is Scope.ADMIN] == [made[0].id]
    assert ring.add_first("admin", Scope.ADMIN, "later") is None


def test_rotation_keeps_name_scope_owner_and_lifetime(database: Database, ring: KeyRing) -> None:
    first = ring.add("shop", Scope.EDIT, "one", expires_at=now() + 90 * DAY, actor="me")

    second, old = ring.rotate(first.id, "two", grace=DAY, lifetime=None, actor="you")
    third, _ = ring.rotate(second.id, "three", grace=timedelta(0), lifetime=DAY, actor="you")

    assert {(key.name, key.scope, key.actor) for key in ring.all()} == {
        ("shop", Scope.EDIT, "key:1")
    }
    assert second.expires_at is not None
    assert second.expires_at - second.created_at > 89 * DAY
    assert old.expires_at is not None
    assert DAY - timedelta(minutes=1) < old.expires_at - now() <= DAY
    assert third.expires_at is not None
    assert third.expires_at - now() <= DAY
    # The first is in its grace, the second's is over.
    found = [ring.find(secret) for secret in ("one", "two", "three")]
    assert [key and key.id for key in found] == [1, None, 3]
    assert changes(database) == [
        (1, "created", "me"),
        (1, "rotated", "you"),
        (2, "created", "you"),
        (2, "rotated", "you"),
        (3, "created", "you"),
    ]


def test_only_the_last_of_a_chain_is_rotated(ring: KeyRing) -> None:
    ring.add("another", Scope.EDIT, "zero")
    ring.add("shop", Scope.EDIT, "one")
    ring.rotate(2, "two", grace=DAY, lifetime=None, actor="me")
    ring.revoke(3, actor="me")

    with pytest.raises(ConflictError, match="key 2 was rotated before; rotate key 3"):
        ring.rotate(2, "three", grace=DAY, lifetime=None, actor="me")

    # Its secret has leaked, its edits are still its owner's.
    again, old = ring.rotate(3, "three", grace=DAY, lifetime=None, actor="me")
    assert (again.actor, old.state(now())) == ("key:2", KeyState.REVOKED)


def test_a_grace_does_not_lengthen_a_key(ring: KeyRing) -> None:
    key = ring.add("shop", Scope.EDIT, "one", expires_at=now() + timedelta(hours=1))
    _, old = ring.rotate(key.id, "two", grace=DAY, lifetime=None, actor="me")
    assert old.expires_at == key.expires_at


def test_servers_write_a_use_once_a_minute_together(ring: KeyRing) -> None:
    ring.add("a", Scope.EDIT, "one")
    first = now()
    for seconds in (0, 1, storage_keys.USE_EVERY_S - 1):
        ring.used({1: first + timedelta(seconds=seconds)})
    assert ring.all()[0].last_used_at == first
    later = first + timedelta(seconds=storage_keys.USE_EVERY_S)
    ring.used({1: later})
    assert ring.all()[0].last_used_at == later
