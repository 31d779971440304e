"""A fresh schema and a migrated one are the same."""

import asyncio

import pytest
from sqlalchemy import Connection, inspect

from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.schema import differences, metadata, upgrade


def described(connection: Connection) -> dict[str, object]:
    """Everything the database says of its tables, without what depends on the order of creation."""
    found = inspect(connection)
    tables = sorted(name for name in found.get_table_names() if name != "alembic_version")
    return {
        name: (
            sorted(
                (c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in found.get_columns(name)
            ),
            found.get_pk_constraint(name),
            sorted(found.get_foreign_keys(name), key=str),
            sorted(found.get_unique_constraints(name), key=str),
            sorted(found.get_indexes(name), key=str),
        )
        for name in tables
    }


def test_a_fresh_schema_and_a_migrated_one_are_the_same(database_url: str, tmp_path: object) -> None:
    async def run() -> None:
        database = Database(database_url)
        await upgrade(database)
        assert await differences(database) == []
        async with database.writing() as db:
            connection = await db.connection()
            migrated = await connection.run_sync(described)
            await connection.run_sync(metadata.drop_all)
            await connection.run_sync(metadata.create_all)
            fresh = await connection.run_sync(described)
        await database.close()
        assert sorted(migrated) == sorted(metadata.tables)
        for table, description in fresh.items():
            assert migrated[table] == description, table

    asyncio.run(run())


def test_an_upgrade_repeated_or_begun_twice_at_once_changes_nothing(database_url: str) -> None:
    async def run() -> None:
        one, other = Database(database_url), Database(database_url)
        await asyncio.gather(upgrade(one), upgrade(other))
        await upgrade(one)
        assert await differences(other) == []
        await one.close()
        await other.close()

    asyncio.run(run())


# The driver's thread of a connection that failed reports its own end, by which time the loop may be closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_database_that_is_not_there_is_an_outage_and_no_answer(tmp_path: object) -> None:
    async def run() -> None:
        for url in (
            f"sqlite+aiosqlite:///{tmp_path}/no/such/directory/c.db",
            f"postgresql+psycopg://postgres@/none?host={tmp_path}",
        ):
            database = Database(url)
            with pytest.raises(DatabaseUnavailable, match="can't be used now"):
                await database.ping()
            await database.close()

    asyncio.run(run())
