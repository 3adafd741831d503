"""add an index by which an edit finds the one that answers in its place."""

from alembic import op

revision = "2026_11_27_1000"
down_revision = "2026_11_27_0900"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_edits_supersedes", "edits", ["supersedes"])


def downgrade() -> None:
    op.drop_index("ix_edits_supersedes", "edits")
