"""Migrations, by Alembic: carrying them out, and writing a new one.

A new migration is written with `python -m bilocate.store.migrating "what it does"`, which compares the models
with a database made by the migrations so far; read it before it is kept, and name it in `schema.NEWEST_REVISION`.

Importing this costs a third of a second: `schema.upgrade` does so only for a database of an older release.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bilocate.store.columns import EnumColumn
from bilocate.store.database import Database
from bilocate.store.schema import SchemaTooNew, metadata


async def differences(database: Database) -> list[Any]:
    """What differs between the database's schema and the models; nothing, after an upgrade."""
    async with database.reading() as db:
        connection = await db.connection()
        return await connection.run_sync(_compare)


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """How a column's type is written into a migration: without this package's own classes."""
    if kind == "type" and isinstance(item, EnumColumn):
        return "sa.String(length=32)"
    return False


def configuration(connection: Connection) -> Config:
    """Alembic's, for one connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(connection: Connection) -> None:
    """Bring the database behind a connection to the newest schema, within its transaction, which must be the only one
    of its kind.

    :raises SchemaTooNew: a later release has been there.
    """
    config = configuration(connection)
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    for found in MigrationContext.configure(connection).get_current_heads():
        if found not in known:
            raise SchemaTooNew(found, str(scripts.get_current_head()))
    command.upgrade(config, "head")


def _compare(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "render_item": render_item})
    return list(compare_metadata(context, metadata))


async def _write_migration(message: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite+aiosqlite:///{directory}/made.db")
        async with database.writing() as db:
            connection = await db.connection()
            await connection.run_sync(migrate)
            await connection.run_sync(
                lambda sync: command.revision(configuration(sync), message=message, autogenerate=True)
            )
        await database.close()


if __name__ == "__main__":
    asyncio.run(_write_migration(sys.argv[1]))
