"""add the digest of a log's chat template, and an index of batches by status."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_0700"
down_revision = "2026_11_27_0600"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Unknown for logs that were made before: the next start records its own.
    op.add_column("store", sa.Column("chat_template", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_batches_status_id"), "batches", ["status", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_batches_status_id"), table_name="batches")
    op.drop_column("store", "chat_template")
