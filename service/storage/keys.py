"""API keys, stored as hashes: a copy of the database opens no door."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from service.domain.keys import ApiKey, KeyChange, KeyState, Scope
from service.errors import ConflictError, NotFoundError
from service.storage.database import Database, now, racing
from service.storage.rows import SYSTEM, key_of
from service.storage.tables import ApiKeyRow, KeyEventRow

PREFIX = "errata_"
ENTROPY_BYTES = 32
HINT_LENGTH = len(PREFIX) + 4
FIRST_KEY = 0x657272617462  # a lock's number in PostgreSQL
USE_EVERY_S = 60.0  # between two times that a key's use is written


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(ENTROPY_BYTES)


def _hash(secret: str) -> str:
    # The secrets are random and long, so that a fast hash is as good as a slow one.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    def __init__(self, database: Database) -> None:
        self._database = database

    @racing
    def add(
        self,
        name: str,
        scope: Scope,
        secret: str,
        *,
        expires_at: datetime | None = None,
        actor: str = SYSTEM,
    ) -> ApiKey:
        """Stores the key, or returns the one that already has this secret."""
        with self._database.write() as session:
            row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.secret_hash == _hash(secret)))
            return key_of(row or _stored(session, _row(name, scope, secret, expires_at), actor))

    def add_first(
        self,
        name: str,
        scope: Scope,
        secret: str,
        *,
        expires_at: datetime | None = None,
        actor: str = SYSTEM,
    ) -> ApiKey | None:
        """Stores the key if there is no active one: of servers that start at once, one stores its
        own. None: there is one.
        """
        with self._database.write() as session:
            if self._database.is_shared:
                session.execute(select(func.pg_advisory_xact_lock(FIRST_KEY)))
            if _any_active(session):
                return None
            return key_of(_stored(session, _row(name, scope, secret, expires_at), actor))

    def find(self, secret: str) -> ApiKey | None:
        """The key with this secret, if it is neither revoked nor expired. The look-up is by hash,
        so its timing tells nothing of the secret.
        """
        with self._database.read() as session:
            row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.secret_hash == _hash(secret)))
            return None if row is None else _if_active(key_of(row))

    def is_active(self, key_id: int) -> bool:
        with self._database.read() as session:
            row = session.get(ApiKeyRow, key_id)
            return row is not None and _if_active(key_of(row)) is not None

    def all(self) -> list[ApiKey]:
        with self._database.read() as session:
            return [
                key_of(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))
            ]

    def any_active(self) -> bool:
        with self._database.read() as session:
            return _any_active(session)

    def rotate(
        self,
        key_id: int,
        secret: str,
        *,
        grace: timedelta,
        lifetime: timedelta | None,
        actor: str,
    ) -> tuple[ApiKey, ApiKey]:
        """Gives the key's owner another secret and ends the old one after `grace`. The new one
        lasts for `lifetime`; without it, as long as the old one was made for. Returns the new key
        and the old. Raises `ConflictError` for a key that was rotated before.
        """
        with self._database.write() as session:
            old = _locked(session, key_id)
            owner_id = old.owner_id or old.id
            last = session.scalar(
                select(func.max(ApiKeyRow.id)).where(ApiKeyRow.owner_id == owner_id)
            )
            if last is not None and last > old.id:
                raise ConflictError(f"key {key_id} was rotated before; rotate key {last}")
            moment = now()
            if lifetime is None and old.expires_at is not None:
                lifetime = old.expires_at - old.created_at
            expires_at = None if lifetime is None else moment + lifetime
            row = _row(old.name, Scope(old.scope), secret, expires_at)
            row.owner_id = owner_id
            session.add(row)
            session.flush()
            end = moment + grace
            old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
            _record(session, old, KeyChange.ROTATED, actor)
            _record(session, row, KeyChange.CREATED, actor)
            return key_of(row), key_of(old)

    def revoke(self, key_id: int, *, actor: str) -> ApiKey:
        """Idempotent: a key that was revoked before keeps its time."""
        with self._database.write() as session:
            row = _locked(session, key_id)
            if row.revoked_at is None:
                row.revoked_at = now()
                _record(session, row, KeyChange.REVOKED, actor)
            return key_of(row)

    def used(self, moments: Mapping[int, datetime]) -> None:
        """Remembers when keys were used, by id, unless a server wrote so a short while before."""
        with self._database.write(quiet=True) as session:
            for key_id, moment in sorted(moments.items()):  # in one order: nobody deadlocks
                before = moment - timedelta(seconds=USE_EVERY_S)
                last = ApiKeyRow.last_used_at
                session.execute(
                    update(ApiKeyRow)
                    .where(ApiKeyRow.id == key_id, or_(last.is_(None), last <= before))
                    .values(last_used_at=moment)
                )


def _row(name: str, scope: Scope, secret: str, expires_at: datetime | None) -> ApiKeyRow:
    return ApiKeyRow(
        name=name,
        scope=scope,
        hint=secret[:HINT_LENGTH] if secret.startswith(PREFIX) else "",
        secret_hash=_hash(secret),
        created_at=now(),
        expires_at=expires_at,
    )


def _stored(session: Session, row: ApiKeyRow, actor: str) -> ApiKeyRow:
    session.add(row)
    session.flush()
    _record(session, row, KeyChange.CREATED, actor)
    return row


def _any_active(session: Session) -> bool:
    return any(_if_active(key_of(row)) for row in session.scalars(select(ApiKeyRow)))


def _if_active(key: ApiKey) -> ApiKey | None:
    return key if key.state(now()) is KeyState.ACTIVE else None


def _locked(session: Session, key_id: int) -> ApiKeyRow:
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        raise NotFoundError("key", key_id)
    return row


def _record(session: Session, row: ApiKeyRow, change: KeyChange, actor: str) -> None:
    session.add(KeyEventRow(key_id=row.id, change=change, actor=actor, created_at=now()))
