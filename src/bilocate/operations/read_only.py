"""A volume's read-only flag: hosts that attach from then on may only read. Both volumes of a pair have the same.

It is changed only while nobody is attached: a connection keeps for its life what it was told. So the flag is carried
by each attachment's mode, and holds at the other site too when production moves there.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import NotFound, OperationError, WrongStatus
from bilocate.domain.errors_volumes import FlagWhileAttached, PairJustMade
from bilocate.domain.volume_states import VolumeStatus
from bilocate.operations.context import Context
from bilocate.operations.exports import require_production
from bilocate.operations.verbs._shared import live_attachments
from bilocate.store.columns import db_now
from bilocate.store.models import Pair, Volume
from bilocate.store.transitions import lock


async def set_read_only(context: Context, volume_id: str, read_only: bool, project_id: str | None) -> None:
    """See `Operations.set_read_only`."""
    async with context.database.writing() as db:
        volume, other = await _locked(db, volume_id, project_id)
        await require_production(db, volume)
        if volume.status is not VolumeStatus.AVAILABLE:
            remedy = "wait for what is going on, or detach it first"
            raise WrongStatus("volume", volume.id, volume.status, [VolumeStatus.AVAILABLE], remedy)
        both = [volume] if other is None else [volume, other]
        for attachment in await live_attachments(db, [each.id for each in both]):
            raise FlagWhileAttached(attachment.volume_id, attachment.host)
        before = volume.read_only
        _set(both, read_only)
    # Whoever has just left is disconnected there when this returns, also where the site had not heard of it.
    try:
        await context.reconciler.push_volume(volume_id)
    except OperationError:
        async with context.database.writing() as db:
            volume, other = await _locked(db, volume_id, project_id)
            _set([volume] if other is None else [volume, other], before)
        raise


def _set(volumes: list[Volume], read_only: bool) -> None:
    for volume in volumes:
        volume.read_only = read_only
        volume.wanted_revision += 1
        volume.updated_at = db_now()  # the database's clock


async def _locked(db: AsyncSession, volume_id: str, project_id: str | None) -> tuple[Volume, Volume | None]:
    """The volume and, if it is in a pair, the other one; both locked."""
    found = await db.get(Volume, volume_id, populate_existing=True)
    if found is None or project_id not in (None, found.project_id):
        raise NotFound("volume", volume_id)
    pair = await db.get(Pair, found.pair_id) if found.pair_id is not None else None
    if pair is None:
        volume = await lock(db, Volume, volume_id, project_id)
        if volume.pair_id is not None:
            raise PairJustMade(volume.id, volume.pair_id)
        return volume, None
    # In the order in which everyone locks them.
    rows = {
        each: await lock(db, Volume, each) for each in sorted((pair.first_volume_id, pair.second_volume_id))
    }
    volume = rows.pop(volume_id)
    (other,) = rows.values()
    return volume, other
