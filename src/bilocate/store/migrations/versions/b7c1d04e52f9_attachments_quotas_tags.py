"""attachments without an export, quotas, tags"""

import sqlalchemy as sa
from alembic import op

revision = "b7c1d04e52f9"
down_revision = "a33679feaefa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.alter_column("export_name", existing_type=sa.String(length=128), nullable=True)
        batch_op.create_index(batch_op.f("ix_attachments_project_id"), ["project_id"], unique=False)

    op.create_table(
        "quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_quotas")),
    )
    # Never by a batch: on SQLite that makes the table anew, and dropping the old one takes its attachments along.
    op.add_column("volumes", sa.Column("tags", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Back; only a database without attachments that have no export can go there."""
    op.drop_column("volumes", "tags")
    op.drop_table("quotas")
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attachments_project_id"))
        batch_op.alter_column("export_name", existing_type=sa.String(length=128), nullable=False)
