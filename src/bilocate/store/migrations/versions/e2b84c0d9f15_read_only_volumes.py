"""whether hosts may only read a volume"""

import sqlalchemy as sa
from alembic import op

revision = "e2b84c0d9f15"
down_revision = "9d3e61f7a0b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("volumes", sa.Column("read_only", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Back."""
    op.drop_column("volumes", "read_only")
