"""the orders of lists, as indexes"""

from alembic import op

revision = "2419942490ff"
down_revision = "d81e5b07a2c4"
branch_labels = None
depends_on = None

ORDERS = {
    "groups": ("created_at", "status", "priority_site"),
    "pairs": ("created_at", "status", "priority_site"),
    "volumes": ("created_at", "status", "size_gib", "site"),
}


def upgrade() -> None:
    """Forward."""
    for table, columns in ORDERS.items():
        op.drop_index(f"ix_{table}_project_id", table_name=table)
        op.create_index(f"ix_{table}_project_id_id", table, ["project_id", "id"])
        op.create_index(f"ix_{table}_project_name", table, ["project_id", "name", "created_at", "id"])
        for column in columns:
            op.create_index(f"ix_{table}_project_{column}", table, ["project_id", column, "id"])


def downgrade() -> None:
    """Back."""
    for table, columns in ORDERS.items():
        for column in (*columns, "id_id", "name"):
            op.drop_index(f"ix_{table}_project_{column}", table_name=table)
        op.create_index(f"ix_{table}_project_id", table, ["project_id"])
