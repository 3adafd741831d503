"""index prompts, and the queue in the order in which it is claimed."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_0010"
down_revision = "2026_11_25_1800"
branch_labels = None
depends_on = None

QUEUE = "ix_edits_status_priority_id"


def upgrade() -> None:
    op.drop_index(QUEUE, table_name="edits")
    op.create_index(QUEUE, "edits", ["status", sa.text("priority DESC"), "id"])
    # Prompts may be longer than what a B-tree of PostgreSQL's takes.
    op.create_index(op.f("ix_edits_prompt"), "edits", ["prompt"], postgresql_using="hash")


def downgrade() -> None:
    op.drop_index(op.f("ix_edits_prompt"), table_name="edits")
    op.drop_index(QUEUE, table_name="edits")
    op.create_index(QUEUE, "edits", ["status", "priority", "id"])
