"""An admin sets a volume's status by hand: what is told then is never more than what is true.

Only the status in the API changes: no site is told anything, no pair, group, session or attachment is touched, so no
site can come to answer by it. What it would hide (data that may be gone, a disk that may have grown) is refused.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from bilocate.domain.errors_operations import AgentBusy, AgentRefused, NotFound, VolumeInPair
from bilocate.domain.errors_resets import StatusNotSet
from bilocate.domain.geometry import GIB
from bilocate.domain.volume_states import VOLUME, VolumeEvent, VolumeStatus
from bilocate.operations.context import Context
from bilocate.operations.reconcile import OVERTAKEN
from bilocate.operations.rows import volume_row
from bilocate.operations.verbs._shared import live_attachments, require_status
from bilocate.store.models import AttachmentKind, AttachmentStatus, Volume
from bilocate.store.transitions import lock, move_volume, require_free

_S, _E = VolumeStatus, VolumeEvent
EVENTS = {_S.AVAILABLE: _E.RESET_AVAILABLE, _S.IN_USE: _E.RESET_IN_USE, _S.ERROR: _E.RESET_ERROR}
REMEDY = "its data may be gone, or something is going on with it: delete it, or wait"


async def reset_status(
    context: Context, volume_id: str, wanted: VolumeStatus, project_id: str | None
) -> None:
    """See `Operations.reset_status`."""
    async with context.database.reading() as db:
        volume = await db.get(Volume, volume_id)
    if volume is None or project_id not in (None, volume.project_id):
        raise NotFound("volume", volume_id)
    sized_at: datetime | None = None
    if volume.status is _S.ERROR_EXTENDING:
        await _require_size(context, volume, wanted)
        sized_at = volume.updated_at
    async with context.database.writing() as db:
        volume = await lock(db, Volume, volume_id, project_id)
        require_free(volume, "")
        if volume.status is _S.ERROR_EXTENDING and volume.updated_at != sized_at:
            raise StatusNotSet(volume_id, wanted.value, "it has just been changed: repeat the call")
        await _require_true(db, volume, wanted)
        move_volume(volume, EVENTS[wanted])


async def require_attached(context: Context, volume_id: str, attached: bool, project_id: str | None) -> None:
    """Whether somebody is attached is what the attachments say: it is not set, but may be said.

    :raises NotFound:
    :raises StatusNotSet: it is said wrongly.
    """
    async with context.database.reading() as db:
        volume = await db.get(Volume, volume_id)
        if volume is None or project_id not in (None, volume.project_id):
            raise NotFound("volume", volume_id)
        found = await _attachments(db, volume_id)
    if attached and not found:
        raise StatusNotSet(volume_id, "attached", "it has no attachment: make one")
    if found and not attached:
        raise StatusNotSet(volume_id, "detached", "it has attachments: end them (os-force_detach)")


async def _require_size(context: Context, volume: Volume, wanted: VolumeStatus) -> None:
    """The extension that failed has left the disk as it was: sizes of volumes are told, and compared, by their rows.

    :raises StatusNotSet: it has not.
    :raises OutOfReach: nobody can say.
    """
    async with context.database.reading() as db:
        found = await volume_row(db, volume.id)
    if found is None:
        raise NotFound("volume", volume.id)
    site, told = found
    try:
        actual = (await context.agents.put_volume(site, volume.id, told)).get("size_bytes")
    except AgentRefused as refused:
        if refused.code in OVERTAKEN:
            raise AgentBusy(site, "the volume's exports are being changed") from refused
        raise
    if actual != volume.size_gib * GIB:
        size = f"{actual // GIB} GiB" if isinstance(actual, int) else "another size"
        raise StatusNotSet(
            volume.id,
            wanted.value,
            f"its disk has {size} and not {volume.size_gib}: extend it to as much or more",
        )


async def _require_true(db: AsyncSession, volume: Volume, wanted: VolumeStatus) -> None:
    if wanted not in EVENTS:
        told = " or ".join(sorted(each.value for each in EVENTS))
        raise StatusNotSet(volume.id, wanted.value, f"that says what is going on with it; it can be {told}")
    require_status("volume", volume.id, volume.status, VOLUME, EVENTS[wanted], REMEDY)
    if not volume.made:
        raise StatusNotSet(volume.id, wanted.value, "its site never made it: delete it")
    attached = await _attachments(db, volume.id)
    if wanted is _S.IN_USE:
        if AttachmentStatus.ATTACHED not in attached:
            raise StatusNotSet(volume.id, wanted.value, "no host has attached")
        return
    if attached:
        raise StatusNotSet(volume.id, wanted.value, "it has attachments: end them first (os-force_detach)")
    if wanted is _S.ERROR:
        if volume.pair_id is not None:
            raise VolumeInPair(volume.id, volume.pair_id)
        if await live_attachments(db, [volume.id]):
            raise StatusNotSet(volume.id, wanted.value, "a host is connected: disconnect it first")


async def _attachments(db: AsyncSession, volume_id: str) -> list[AttachmentStatus]:
    live = await live_attachments(db, [volume_id])
    return [each.status for each in live if each.kind is AttachmentKind.ATTACHMENT]
