"""wrong passwords are counted"""

import sqlalchemy as sa
from alembic import op

revision = "d81e5b07a2c4"
down_revision = "c4f2a9d17be3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "login_failures",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_failures")),
    )
    op.create_index(op.f("ix_login_failures_failed_at"), "login_failures", ["failed_at"], unique=False)


def downgrade() -> None:
    """Back."""
    op.drop_index(op.f("ix_login_failures_failed_at"), "login_failures")
    op.drop_table("login_failures")
