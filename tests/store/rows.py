"""A database with one session's row, for tests of the arbiter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import select

from bilocate.domain.arbiter import RowState
from bilocate.store.database import Database
from bilocate.store.models import Session
from bilocate.store.schema import upgrade
from bilocate.store.sequences import next_epoch

SESSION = "5f0d3c1e-0000-4000-8000-000000000001"


@asynccontextmanager
async def with_row(url: str, **values: Any) -> AsyncIterator[Database]:
    """The row of epoch and version 1; production is at az1."""
    database = Database(url)
    await upgrade(database)
    async with database.writing() as db:
        first: dict[str, Any] = {"state": RowState.IN_SYNC, "paused": False, **values}
        epoch = await next_epoch(db)
        db.add(Session(id=SESSION, epoch=epoch, primary_site="az1", secondary_site="az2", **first))
    try:
        yield database
    finally:
        await database.close()


async def read(database: Database) -> Session:
    """The row now."""
    async with database.reading() as db:
        return (await db.execute(select(Session).where(Session.id == SESSION))).scalar_one()
