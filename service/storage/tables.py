"""The schema. `migrations/` builds the same one; a test holds the two equal."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigId = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER keys autoincrement in SQLite


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time. SQLite keeps no time zone, so UTC is put back when a row is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and dialect.name == "sqlite":
            return value.replace(tzinfo=UTC)
        return value


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


class StoreRow(Table):
    """What this log was made for. One row, written when version 0 is."""

    __tablename__ = "store"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)  # always 1
    model: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))  # sha256 of configuration and weights
    # sha256 of what a chat goes through, empty for a model without a template; none in a log that
    # was last opened before it was kept.
    chat_template: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class LeaseRow(Table):
    """Who applies edits. One row; its token counts up with every holder (a fencing token)."""

    __tablename__ = "lease"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)  # always 1
    holder: Mapped[str] = mapped_column(String(64))
    token: Mapped[int] = mapped_column(BigId)
    expires_at: Mapped[datetime]


class ApiKeyRow(Table):
    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("secret_hash"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # The first key of those that rotation put in each other's place; none for the first itself.
    owner_id: Mapped[int | None] = mapped_column(BigId)
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[str] = mapped_column(String(16))
    hint: Mapped[str] = mapped_column(String(16))
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class KeyEventRow(Table):
    """Who changed which key, and when. Rows are only ever added."""

    __tablename__ = "key_events"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"))
    change: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class SubmissionRow(Table):
    """One accepted POST of edits: what an Idempotency-Key is remembered by."""

    __tablename__ = "submissions"
    __table_args__ = (
        UniqueConstraint("actor", "idempotency_key"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    actor: Mapped[str] = mapped_column(String(64))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    body_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class EditRow(Table):
    __tablename__ = "edits"
    __table_args__ = (
        # Prompts may be longer than what a B-tree of PostgreSQL's takes.
        Index(None, "prompt", postgresql_using="hash"),
        Index(None, "batch_id"),
        Index(None, "submission_id"),
        Index(None, "submitted_by", "id"),
        Index(None, "supersedes"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"))
    submitted_by: Mapped[str] = mapped_column(String(64))
    editor: Mapped[str] = mapped_column(String(16))
    prompt: Mapped[str] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    target_new: Mapped[str] = mapped_column(Text)
    target_true: Mapped[str | None] = mapped_column(Text)
    paraphrases: Mapped[list[Any]]
    neighborhood: Mapped[list[Any]]
    # `metadata` is SQLAlchemy's own word on a mapped class.
    client_metadata: Mapped[dict[str, Any]]
    priority: Mapped[int]
    format: Mapped[str] = mapped_column(String(8))
    # JSON with sorted keys: edits of one batch have equal ones.
    hyperparameters: Mapped[str] = mapped_column(Text)
    warnings: Mapped[list[Any]]
    # Asked for, and once the edit is applied what was used.
    joint: Mapped[str | None] = mapped_column(String(1))
    continues: Mapped[bool] = mapped_column(server_default=false())
    strict: Mapped[bool] = mapped_column(server_default=false())
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    version: Mapped[int | None] = mapped_column(ForeignKey("versions.version"))
    supersedes: Mapped[int | None] = mapped_column(BigId)  # an edit of an earlier batch
    error: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    probability_before: Mapped[float | None]
    probability_after: Mapped[float | None]
    verified: Mapped[bool | None]
    # What it reaches and moves; none where that was not found out. Read by itself: it is long, and
    # pages of edits are read.
    report: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


# The order in which the queue is claimed.
Index("ix_edits_status_priority_id", EditRow.status, EditRow.priority.desc(), EditRow.id)


class BatchRow(Table):
    __tablename__ = "batches"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    editor: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(ForeignKey("versions.version"))
    edit_ids: Mapped[list[Any]]
    hyperparameters: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    timings: Mapped[dict[str, Any]]
    artifact: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


# By which the first that is at work is found.
Index(None, BatchRow.status, BatchRow.id)


class VersionRow(Table):
    __tablename__ = "versions"
    # The next number is asked for, never generated: of two writers one fails on this key.
    version: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    batch_ids: Mapped[list[Any]]
    edit_ids: Mapped[list[Any]]
    parent: Mapped[int | None] = mapped_column(ForeignKey("versions.version"))
    artifact: Mapped[str | None] = mapped_column(String(64))
    checksum: Mapped[str] = mapped_column(String(64))
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    # Those that it answers otherwise than the version before it; none where no probes were asked.
    # Read by itself: it holds texts, and whole logs are read at once.
    changed_probes: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)


class SnapshotRow(Table):
    """The whole state of a version in one artifact: a start reads it in place of all before it."""

    __tablename__ = "snapshots"
    version: Mapped[int] = mapped_column(
        ForeignKey("versions.version"), primary_key=True, autoincrement=False
    )
    artifact: Mapped[str] = mapped_column(String(64))


class EventRow(Table):
    """Who changed what, when and why. Rows are only ever added."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "edit_id"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    edit_id: Mapped[int | None] = mapped_column(ForeignKey("edits.id"))
    version: Mapped[int | None] = mapped_column(ForeignKey("versions.version"))
    from_status: Mapped[str | None] = mapped_column(String(16))
    to_status: Mapped[str | None] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
