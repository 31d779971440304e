"""Bringing a database to this release's schema, and telling whether it is there.

A new migration is written with `python -m bilocate.store.schema "what it does"`, which compares the models
with a database made by the migrations so far; read it before it is kept.
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
from sqlalchemy import Connection, text

from bilocate.domain.errors import BilocateError
from bilocate.store import identity_models, journal_models, models
from bilocate.store.base import Base
from bilocate.store.columns import EnumColumn
from bilocate.store.database import Database

# Naming the modules makes their tables known.
TABLES = (identity_models, journal_models, models)
metadata = Base.metadata
# Any number; all controllers of an installation use the same, so that one of them migrates at a time.
POSTGRESQL_LOCK = 5501987


class SchemaTooNew(BilocateError):
    """A later release has changed the database: this one would not understand it."""

    def __init__(self, found: str, newest: str) -> None:
        super().__init__(
            f"the controllers' database has the schema {found}, of a later release than this one, which knows up to "
            f"{newest}: start that release, or put back a backup from before the upgrade (docs/operating.md). Nothing "
            "was changed"
        )


async def upgrade(database: Database) -> None:
    """Bring the database to the newest schema, in one transaction; several controllers may start at once.

    :raises DatabaseUnavailable: when it can't be reached. A failure leaves the schema as it was.
    :raises SchemaTooNew: a later release has been there.
    """
    # Another controller may be at it, and tables may be long.
    patient = database if database.is_sqlite else Database(database.url, patient=True)
    try:
        async with patient.writing() as db:
            connection = await db.connection()
            await connection.run_sync(_upgrade)
    finally:
        if patient is not database:
            await patient.close()


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


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": POSTGRESQL_LOCK})
    config = _config(connection)
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
        await upgrade(database)
        async with database.writing() as db:
            connection = await db.connection()
            await connection.run_sync(
                lambda sync: command.revision(_config(sync), message=message, autogenerate=True)
            )
        await database.close()


if __name__ == "__main__":
    asyncio.run(_write_migration(sys.argv[1]))
