"""add owners, ends and last uses of keys, what was done to them, and an index by owner."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1800"
down_revision = "2026_11_25_1650"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        # Keys that were made before are their own owners.
        sa.Column("owner_id", BigId, nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("api_keys", column)
    op.create_table(
        "key_events",
        sa.Column("id", BigId, nullable=False),
        sa.Column("key_id", BigId, nullable=False),
        sa.Column("change", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_key_events_key_id_api_keys")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_edits_submitted_by_id"), "edits", ["submitted_by", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_edits_submitted_by_id"), table_name="edits")
    op.drop_table("key_events")
    for name in ("last_used_at", "expires_at", "owner_id"):
        op.drop_column("api_keys", name)
