"""add what joins an edit's prompt to its target, and whether a chat goes on after it."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_0600"
down_revision = "2026_11_26_0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("edits", sa.Column("joint", sa.String(1)))
    op.add_column(
        "edits", sa.Column("continues", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("edits", "continues")
    op.drop_column("edits", "joint")
