"""add edit formats and hyperparameters."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_21_0830"
down_revision = "2026_11_21_0500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Edits that were handed in before had none of these.
    for column in (
        sa.Column("format", sa.String(length=8), nullable=False, server_default="plain"),
        sa.Column("hyperparameters", sa.Text(), nullable=False, server_default="{}"),
        sa.Column("warnings", sa.JSON(), nullable=False, server_default="[]"),
    ):
        op.add_column("edits", column)


def downgrade() -> None:
    for name in ("warnings", "hyperparameters", "format"):
        op.drop_column("edits", name)
