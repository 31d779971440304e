"""The database's clock, which leases are judged by."""

import asyncio
from datetime import timedelta

from sqlalchemy import select

from bilocate.store.columns import db_now, utc_now
from bilocate.store.database import Database


def test_the_databases_time_is_utc_and_shifted_by_what_is_asked(database_url: str) -> None:
    """Asked with several shifts in turn: a statement that is compiled once must not keep the first one."""

    async def run() -> None:
        database = Database(database_url)
        async with database.reading() as db:
            for seconds in (0.0, 10.0, 0.25, -3600.0, 10.5):
                before = utc_now()
                told = (await db.execute(select(db_now(seconds)))).scalar_one()
                assert told.tzinfo is None
                unshifted = told - timedelta(seconds=seconds)
                # SQLite knows milliseconds.
                assert (
                    before - timedelta(milliseconds=1) <= unshifted <= utc_now() + timedelta(milliseconds=1)
                )
        await database.close()

    asyncio.run(run())


def test_times_are_compared_as_times(database_url: str) -> None:
    async def run() -> None:
        database = Database(database_url)
        async with database.reading() as db:
            assert (await db.execute(select(db_now(1.0) > db_now()))).scalar_one()
            assert not (await db.execute(select(db_now(-1.0) > db_now()))).scalar_one()
        await database.close()

    asyncio.run(run())
