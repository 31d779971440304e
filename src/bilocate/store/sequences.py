"""The installation's rising sequence of epochs."""

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.store.models import Sequence

EPOCH = "epoch"


async def next_epoch(db: AsyncSession) -> int:
    """The next epoch. The sequence's row stays locked until the caller's transaction ends, so numbers become
    visible in their order; one that is rolled back is used again, which harms nobody: nobody has seen it.
    """
    statement = update(Sequence).where(Sequence.name == EPOCH).values(value=Sequence.value + 1)
    value = (await db.execute(statement.returning(Sequence.value))).scalar_one_or_none()
    if value is not None:
        return value
    await db.execute(insert(Sequence).values(name=EPOCH, value=1))
    return 1
