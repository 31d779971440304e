"""Alembic's entry: the connection is given by `store.migrating`, never found in a configuration file."""

from alembic import context

from bilocate.store.migrating import render_item
from bilocate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # A migration that fails half-way must leave nothing, also on SQLite (see `store.database`).
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
context.run_migrations()
