"""which volume a volume was copied from"""

import sqlalchemy as sa
from alembic import op

revision = "f3a5c8e1b647"
down_revision = "a1d7f3509c6e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column("volumes", sa.Column("source_volume_id", sa.String(36), nullable=True))
    op.create_index("ix_volumes_source_volume_id", "volumes", ["source_volume_id"])


def downgrade() -> None:
    """Back."""
    op.drop_index("ix_volumes_source_volume_id", "volumes")
    op.drop_column("volumes", "source_volume_id")
