"""where a volume was adopted from"""

import sqlalchemy as sa
from alembic import op

revision = "5f0e9a7c31d8"
down_revision = "2419942490ff"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("volumes", sa.Column("source", sa.Text(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("volumes", "source")
