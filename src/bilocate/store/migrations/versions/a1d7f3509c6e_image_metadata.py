"""what is known of the image on a volume"""

import sqlalchemy as sa
from alembic import op

revision = "a1d7f3509c6e"
down_revision = "e2b84c0d9f15"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("volumes", sa.Column("image_metadata", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back."""
    op.drop_column("volumes", "image_metadata")
