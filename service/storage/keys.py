"""API keys, stored as hashes: a copy of the database opens no door."""

import hashlib
import secrets

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from service.domain.keys import ApiKey, Scope
from service.errors import NotFoundError
from service.storage.database import Database, now
from service.storage.rows import key_of
from service.storage.tables import ApiKeyRow

PREFIX = "errata_"
ENTROPY_BYTES = 32
HINT_LENGTH = len(PREFIX) + 4


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(ENTROPY_BYTES)


def _hash(secret: str) -> str:
    # The secrets are random and long, so that a fast hash is as good as a slow one.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, scope: Scope, secret: str) -> ApiKey:
        """Stores the key, or returns the one that already has this secret."""
        try:
            return self._add(name, scope, secret)
        except IntegrityError:  # another server did a moment before
            return self._add(name, scope, secret)

    def _add(self, name: str, scope: Scope, secret: str) -> ApiKey:
        with self._database.write() as session:
            row = session.scalar(select(ApiKeyRow).where(ApiKeyRow.secret_hash == _hash(secret)))
            if row is None:
                row = ApiKeyRow(
                    name=name,
                    scope=scope,
                    hint=secret[:HINT_LENGTH] if secret.startswith(PREFIX) else "",
                    secret_hash=_hash(secret),
                    created_at=now(),
                )
                session.add(row)
                session.flush()
            return key_of(row)

    def find(self, secret: str) -> ApiKey | None:
        """The unrevoked key with this secret. The look-up is by hash, so its timing tells nothing
        of the secret.
        """
        query = select(ApiKeyRow).where(
            ApiKeyRow.secret_hash == _hash(secret), ApiKeyRow.revoked_at.is_(None)
        )
        with self._database.read() as session:
            row = session.scalar(query)
            return None if row is None else key_of(row)

    def all(self) -> list[ApiKey]:
        with self._database.read() as session:
            return [
                key_of(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.id))
            ]

    def any_active(self) -> bool:
        with self._database.read() as session:
            query = select(func.count()).where(ApiKeyRow.revoked_at.is_(None))
            return bool(session.scalar(query))

    def revoke(self, key_id: int) -> ApiKey:
        """Idempotent: a key that was revoked before keeps its time."""
        with self._database.write() as session:
            row = session.get(ApiKeyRow, key_id)
            if row is None:
                raise NotFoundError("key", key_id)
            row.revoked_at = row.revoked_at or now()
            return key_of(row)
