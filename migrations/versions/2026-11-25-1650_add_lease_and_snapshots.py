"""add the lease, snapshots and what single edits are rolled back by."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_1650"
down_revision = "2026_11_21_0830"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("token", BigId, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease")),
    )
    op.create_table(
        "snapshots",
        sa.Column("version", BigId, autoincrement=False, nullable=False),
        sa.Column("artifact", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"], ["versions.version"], name=op.f("fk_snapshots_version_versions")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_snapshots")),
    )
    # Versions before took out whole batches alone.
    op.add_column("versions", sa.Column("edit_ids", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("edits", sa.Column("supersedes", BigId, nullable=True))


def downgrade() -> None:
    op.drop_column("edits", "supersedes")
    op.drop_column("versions", "edit_ids")
    op.drop_table("snapshots")
    op.drop_table("lease")
