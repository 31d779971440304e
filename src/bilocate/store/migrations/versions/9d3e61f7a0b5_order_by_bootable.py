"""the order of volumes by bootable, as an index"""

from alembic import op

revision = "9d3e61f7a0b5"
down_revision = "5f0e9a7c31d8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_index("ix_volumes_project_bootable", "volumes", ["project_id", "bootable", "id"])


def downgrade() -> None:
    """Back."""
    op.drop_index("ix_volumes_project_bootable", table_name="volumes")
