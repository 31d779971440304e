"""A database that was restored from a backup is older than its sites: until they have been asked, nobody may act by it.

A sealed one answers no arbiter's call, takes no verb and tells no site anything. Agents take that for an unknown
outcome: who serves goes on serving, and nobody begins to. `operations.restore` takes the seal away.
"""

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors import BilocateError
from bilocate.store.database import DatabaseUnavailable
from bilocate.store.models import Sequence
from bilocate.store.sequences import EPOCH

SEALED = "sealed"
# For statements that are to find nothing while the database is sealed.
IS_SEALED = select(Sequence.value).where(Sequence.name == SEALED).exists()


class OlderThanSites(DatabaseUnavailable):
    """The controller's database is a restored one that is older than what the sites have."""

    def __init__(self) -> None:
        BilocateError.__init__(
            self,
            "the controller's database was restored from a backup and is older than its sites: nothing is decided by "
            "it before `bilocate restore` has asked them (docs/operating.md)",
        )


async def seal(db: AsyncSession) -> None:
    """Set the seal; it may be there."""
    if not await is_sealed(db):
        await db.execute(insert(Sequence).values(name=SEALED, value=1))


async def unseal(db: AsyncSession) -> None:
    """Take it away."""
    await db.execute(delete(Sequence).where(Sequence.name == SEALED))


async def is_sealed(db: AsyncSession) -> bool:
    """Whether it is there."""
    return bool((await db.execute(select(IS_SEALED))).scalar_one())


async def require_unsealed(db: AsyncSession) -> None:
    """:raises OlderThanSites: the database is sealed."""
    if await is_sealed(db):
        raise OlderThanSites


async def last_epoch(db: AsyncSession) -> int:
    """The highest number of the installation's sequence that this database knows."""
    query = select(func.coalesce(func.max(Sequence.value), 0)).where(Sequence.name == EPOCH)
    return int((await db.execute(query)).scalar_one())
