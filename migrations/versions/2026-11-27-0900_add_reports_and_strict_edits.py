"""add what each edit reaches and moves, and edits that must do all of it."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_0900"
down_revision = "2026_11_27_0800"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "edits", sa.Column("strict", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    # None of edits that were made before: of them only `note` and `verified` are known.
    op.add_column("edits", sa.Column("report", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("edits", "report")
    op.drop_column("edits", "strict")
