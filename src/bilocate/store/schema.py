"""Which schema this release's database has, and bringing one to it (`migrating` does the work)."""

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    func,
    inspect,
    select,
)

from bilocate.domain.errors import BilocateError
from bilocate.store import identity_models, journal_models, models
from bilocate.store.base import Base
from bilocate.store.database import Database

# Naming the modules makes their tables known.
TABLES = (identity_models, journal_models, models)
metadata = Base.metadata
# The last of `migrations/`. A database that has it is not touched; an empty one is made of the models, which is the
# same (tests/store/test_schema.py). So Alembic is imported only by an upgrade from an older release.
NEWEST_REVISION = "f3a5c8e1b647"
# Where Alembic keeps which one a database has.
VERSIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
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
    async with database.reading() as db:
        if await (await db.connection()).run_sync(_is_newest):
            return
    # Another controller may be at it, and tables may be long.
    patient = database if database.is_sqlite else Database(database.url, patient=True)
    try:
        async with patient.writing() as db:
            await (await db.connection()).run_sync(_bring_up)
    finally:
        if patient is not database:
            await patient.close()


def _bring_up(connection: Connection) -> None:
    """Within a transaction that is the only one of its kind: SQLite's writers are, and PostgreSQL has a lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(POSTGRESQL_LOCK)))
    if _is_newest(connection):
        return
    if inspect(connection).get_table_names():
        from bilocate.store.migrating import migrate  # a third of a second, for what is seldom

        migrate(connection)
        return
    for tables in (metadata, VERSIONS.metadata):
        tables.create_all(connection)
    connection.execute(VERSIONS.insert(), {"version_num": NEWEST_REVISION})


def _is_newest(connection: Connection) -> bool:
    if not inspect(connection).has_table(VERSIONS.name):
        return False
    return list(connection.scalars(select(VERSIONS.c.version_num))) == [NEWEST_REVISION]
