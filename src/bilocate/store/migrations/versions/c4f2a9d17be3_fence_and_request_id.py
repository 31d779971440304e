"""operations: the fence, and the id of the request that began them"""

import sqlalchemy as sa
from alembic import op

revision = "c4f2a9d17be3"
down_revision = "b7c1d04e52f9"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("operations", sa.Column("request_id", sa.String(length=128), nullable=True))
    op.add_column("operations", sa.Column("fence", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    """Back."""
    op.drop_column("operations", "fence")
    op.drop_column("operations", "request_id")
