"""A fresh schema and a migrated one are the same."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text

from bilocate.store import migrating
from bilocate.store.database import Database, DatabaseUnavailable
from bilocate.store.identity_models import LoginFailure, User
from bilocate.store.migrating import differences, migrate
from bilocate.store.models import Attachment, AttachmentStatus, Volume
from bilocate.store.schema import NEWEST_REVISION, VERSIONS, SchemaTooNew, metadata, upgrade

FIRST_RELEASE = "a33679feaefa"
NOON = datetime(2026, 1, 31, 12)
WRITTEN = NOON.isoformat(" ", "microseconds")  # as it stands in SQLite; PostgreSQL takes it, too


def described(connection: Connection) -> dict[str, object]:
    """Everything the database says of its tables, without what depends on the order of creation."""
    found = inspect(connection)
    tables = sorted(found.get_table_names())
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


def test_a_fresh_schema_and_a_migrated_one_are_the_same(database_url: str) -> None:
    async def run() -> None:
        database = Database(database_url)
        async with database.writing() as db:
            connection = await db.connection()
            await connection.run_sync(migrate)
            migrated = await connection.run_sync(described)
            await connection.run_sync(metadata.drop_all)
            await connection.run_sync(VERSIONS.metadata.drop_all)
        await upgrade(database)
        assert await differences(database) == []
        async with database.reading() as db:
            fresh = await (await db.connection()).run_sync(described)
        await database.close()
        assert sorted(migrated) == sorted([*metadata.tables, VERSIONS.name])
        assert sorted(fresh) == sorted(migrated)
        for table, description in fresh.items():
            assert migrated[table] == description, table

    asyncio.run(run())


def test_an_upgrade_from_the_first_release_keeps_what_there_is(database_url: str) -> None:
    volume: dict[str, object] = {"id": "v", "project_id": "p", "name": "n", "description": "", "size_gib": 1}
    volume |= {"volume_type": "t", "site": "az1", "status": "available", "bootable": False}
    volume |= {
        "multiattach": False,
        "user_metadata": "{}",
        "wanted_revision": 1,
        "made": True,
        "created_at": WRITTEN,
    }
    attachment: dict[str, object] = {
        "id": "a",
        "volume_id": "v",
        "project_id": "p",
        "kind": "connection",
        "export_name": "e",
    }
    attachment |= {"mode": "rw", "connector": "{}", "status": "attached", "created_at": WRITTEN}

    def fill(connection: Connection) -> None:
        command.upgrade(migrating.configuration(connection), FIRST_RELEASE)
        for table, row in (("volumes", volume), ("attachments", attachment)):
            names = ", ".join(row)
            places = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)

    async def run() -> None:
        database = Database(database_url)
        async with database.writing() as db:
            await (await db.connection()).run_sync(fill)
        await upgrade(database)
        async with database.writing() as db:
            kept = (await db.scalars(select(Attachment))).one()
            assert (kept.id, kept.export_name, kept.status) == ("a", "e", AttachmentStatus.ATTACHED)
            found = await db.get(Volume, "v")
            assert found is not None
            assert (found.size_gib, found.tags, found.read_only) == (1, None, False)
            db.add_all(Attachment(volume_id="v", project_id="p", kind=kept.kind) for _ in range(2))
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize("revision", [FIRST_RELEASE, "b7c1d04e52f9", "c4f2a9d17be3"])
def test_an_upgrade_from_every_older_schema_keeps_users_and_counts_passwords(
    database_url: str, revision: str
) -> None:
    def fill(connection: Connection) -> None:
        command.upgrade(migrating.configuration(connection), revision)
        off = "TRUE" if connection.dialect.name == "postgresql" else "1"
        connection.execute(
            text(f"INSERT INTO domains VALUES ('default', 'Default', '', {off}, :noon, NULL)"),
            {"noon": WRITTEN},
        )
        columns = "id, domain_id, name, password_hash, description, enabled, created_at"
        values = f"'u', 'default', 'n', 'h', '', {off}, :noon"
        connection.execute(text(f"INSERT INTO users ({columns}) VALUES ({values})"), {"noon": WRITTEN})

    async def run() -> None:
        database = Database(database_url)
        async with database.writing() as db:
            await (await db.connection()).run_sync(fill)
        await upgrade(database)
        assert await differences(database) == []
        async with database.writing() as db:
            user = await db.get(User, "u")
            assert user is not None
            assert (user.name, user.password_hash, user.enabled) == ("n", "h", True)
            db.add(LoginFailure(subject="s", failures=1, failed_at=NOON))
        await database.close()

    asyncio.run(run())


def test_a_schema_of_a_later_release_is_refused_and_left_as_it_is(database_url: str) -> None:
    async def run() -> None:
        database = Database(database_url)
        await upgrade(database)
        async with database.writing() as db:
            await db.execute(text("UPDATE alembic_version SET version_num = 'later'"))
        with pytest.raises(SchemaTooNew, match="later release"):
            await upgrade(database)
        async with database.reading() as db:
            assert (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "later"
        await database.close()

    asyncio.run(run())


def test_controllers_that_start_at_once_bring_an_old_database_up_once(database_url: str) -> None:
    """From the first release's schema; on PostgreSQL one waits for the other's lock, on SQLite for its file."""

    async def run() -> None:
        databases = [Database(database_url) for _ in range(3)]
        async with databases[0].writing() as db:
            connection = await db.connection()
            await connection.run_sync(
                lambda sync: command.upgrade(migrating.configuration(sync), FIRST_RELEASE)
            )
        await asyncio.gather(*(upgrade(database) for database in databases))
        assert await differences(databases[0]) == []
        for database in databases:
            await database.close()

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


def test_a_database_of_the_newest_schema_is_not_migrated(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller that starts again takes a third of a second less."""

    def called(connection: Connection) -> None:
        raise AssertionError("there is nothing to do")

    def head(connection: Connection) -> object:
        return ScriptDirectory.from_config(migrating.configuration(connection)).get_current_head()

    async def run() -> None:
        database = Database(database_url)
        await upgrade(database)
        async with database.reading() as db:
            assert await (await db.connection()).run_sync(head) == NEWEST_REVISION
        monkeypatch.setattr(migrating, "migrate", called)
        await upgrade(database)
        await database.close()

    asyncio.run(run())


def test_many_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    async def run() -> None:
        for number in range(60):
            url = f"sqlite+aiosqlite:///{tmp_path}/{number}.db"
            databases = [Database(url) for _ in range(6)]
            await asyncio.gather(*(database.ping() for database in databases))
            for database in databases:
                await database.close()

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
