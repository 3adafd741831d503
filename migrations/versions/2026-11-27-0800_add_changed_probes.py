"""add the probes that a version answers otherwise than the version before it."""

import sqlalchemy as sa
from alembic import op

revision = "2026_11_27_0800"
down_revision = "2026_11_27_0700"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # None of versions that were made before: no probes were asked of them.
    op.add_column("versions", sa.Column("changed_probes", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("versions", "changed_probes")
